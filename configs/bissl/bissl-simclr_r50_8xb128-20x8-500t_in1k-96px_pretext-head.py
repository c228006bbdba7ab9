# The pretext head answers to theta_D, too (thesis, Corollary 5.6; Table 6.4).
_base_ = 'bissl-simclr_r50_8xb128-20x8-500t_in1k-96px.py'

optim_wrapper = dict(hypergradient=dict(pretext_head=True, head_damping=0.0))
