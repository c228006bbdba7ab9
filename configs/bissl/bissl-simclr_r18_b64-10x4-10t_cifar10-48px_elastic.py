# A strongly convex regularizer whose curvature is not the identity (eq. 5 of the paper):
# an elastic distance, and the last stage tied by a tenth.
_base_ = 'bissl-simclr_r18_b64-10x4-10t_cifar10-48px.py'

optim_wrapper = dict(
    regularizer=dict(
        _delete_=True,
        type='ElasticDistance',
        weight=0.1,
        l1=0.01,
        factors={'layer4': 0.1},
    )
)
