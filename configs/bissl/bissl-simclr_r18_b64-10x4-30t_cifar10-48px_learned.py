# A lambda that the upper level learns (thesis, 5.2.2; Figures 6.8, F.1, F.2). weight is
# the first one; the thesis has 1e-5 to 2, and a damping of 0 or 10.
_base_ = 'bissl-simclr_r18_b64-10x4-30t_cifar10-48px.py'

optim_wrapper = dict(
    regularizer=dict(_delete_=True, type='LearnedDistance', weight=0.03, damping=10.0)
)
