# A sketch of the Hessian that is kept over phases in the place of products (not a
# published method; docs/hypergradient.md).
_base_ = 'bissl-simclr_r18_b64-10x4-30t_cifar10-48px.py'

optim_wrapper = dict(
    hypergradient=dict(
        damping=10.0,
        solver=dict(_delete_=True, type='LowRankSolver', rank=16, tolerance=0.1),
        check_residual='random',
    )
)
