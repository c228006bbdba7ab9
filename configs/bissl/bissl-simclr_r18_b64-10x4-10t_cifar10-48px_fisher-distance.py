# A distance that ties those weights most that the pretext loss is most sensitive to.
_base_ = 'bissl-simclr_r18_b64-10x4-10t_cifar10-48px.py'

optim_wrapper = dict(
    regularizer=dict(_delete_=True, type='FisherDistance', weight=0.1, steps=10)
)
