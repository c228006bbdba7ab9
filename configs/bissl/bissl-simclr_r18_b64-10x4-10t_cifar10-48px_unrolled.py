# The derivative of the last five lower steps in the place of the implicit one: a
# reference, and not cheap (docs/hypergradient.md). It needs SGD at the lower level.
_base_ = 'bissl-simclr_r18_b64-10x4-10t_cifar10-48px.py'

optim_wrapper = dict(
    hypergradient=dict(unrolled_steps=5),
    lower=dict(optimizer=dict(_delete_=True, type='SGD', lr=0.03, momentum=0.9)),
)
