# The pretext head answers to theta_D, too (thesis, Corollary 5.6; Table 6.4).
_base_ = 'bissl-simclr_r18_b64-10x4-10t_cifar10-48px.py'

optim_wrapper = dict(hypergradient=dict(pretext_head=True, head_damping=0.0))
