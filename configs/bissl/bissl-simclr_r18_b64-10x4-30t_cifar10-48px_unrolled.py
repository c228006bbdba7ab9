# The derivative of the last five lower steps in the place of the implicit one: a
# reference, and not cheap (docs/hypergradient.md).
_base_ = 'bissl-simclr_r18_b64-10x4-30t_cifar10-48px.py'

optim_wrapper = dict(hypergradient=dict(unrolled_steps=5))
