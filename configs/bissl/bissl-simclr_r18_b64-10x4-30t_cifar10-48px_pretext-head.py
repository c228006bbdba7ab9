# The pretext head answers to theta_D, too (thesis, Corollary 5.6; Table 6.4).
_base_ = 'bissl-simclr_r18_b64-10x4-30t_cifar10-48px.py'

optim_wrapper = dict(
    hypergradient=dict(
        pretext_head=True,
        head_damping=0.0,
        damping=10.0,
        solver=dict(_delete_=True, type='LayerwiseCGSolver', max_iters=5),
        check_residual='random',
    )
)
