# Both levels train adapters of rank 4 alone, and the system is that of the adapters
# (D of the paper; docs/hypergradient.md).
_base_ = 'bissl-simclr_r18_b64-10x4-30t_cifar10-48px.py'

model = dict(lora=dict(rank=4))
optim_wrapper = dict(
    # Solved; at a damping of 10 the published solver was not (benchmarks/README.md).
    hypergradient=dict(
        damping=100.0,
        solver=dict(_delete_=True, type='RecyclingSolver', tolerance=0.1),
        check_residual='random',
    )
)
