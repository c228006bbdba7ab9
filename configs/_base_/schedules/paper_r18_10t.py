# The paper's optimizer, solver and damping in a stage of ten alternations: what the
# recorded runs of benchmarks/README.md had.
paper = dict(
    train_cfg=dict(num_alternations=10, val_interval=5),
    optim_wrapper=dict(
        regularizer=dict(weight=0.1),
        hypergradient=dict(
            _delete_=True,
            damping=10.0,
            solver=dict(type='LayerwiseCGSolver', max_iters=5),
        ),
        lower=dict(
            # The paper's 1.0 at a batch of 1024, scaled to 64.
            optimizer=dict(
                _delete_=True,
                type='bissl_mm.LARS',
                lr=0.0625,
                momentum=0.9,
                weight_decay=1e-6,
                eta=0.001,
            )
        ),
        upper=dict(optimizer=dict(lr=0.01)),
        head_warmup=None,
    ),
)
