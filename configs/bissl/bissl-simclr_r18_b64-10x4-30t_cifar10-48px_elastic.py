# A strongly convex regularizer whose curvature is not the identity (eq. 5 of the paper):
# an elastic distance, and the last stage tied by a tenth.
_base_ = 'bissl-simclr_r18_b64-10x4-30t_cifar10-48px.py'

optim_wrapper = dict(
    regularizer=dict(
        _delete_=True,
        type='ElasticDistance',
        weight=0.3,
        l1=0.003,
        factors={'layer4': 0.1},
    ),
    # Solved; at a damping of 10 the published solver was not (benchmarks/README.md).
    hypergradient=dict(
        damping=100.0,
        solver=dict(_delete_=True, type='RecyclingSolver', tolerance=0.1),
        check_residual='random',
    ),
)
