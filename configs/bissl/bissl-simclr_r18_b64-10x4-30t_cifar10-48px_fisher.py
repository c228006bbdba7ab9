# Inverse products with the empirical Fisher matrix of eight gradients, without second
# derivatives (not a published method; docs/hypergradient.md).
_base_ = 'bissl-simclr_r18_b64-10x4-30t_cifar10-48px.py'

optim_wrapper = dict(
    num_micro_batches=dict(hessian=8),
    hypergradient=dict(
        damping=10.0,
        curvature='fisher',
        solver=dict(_delete_=True, type='LowRankSolver'),
        check_residual='random',
    ),
)
