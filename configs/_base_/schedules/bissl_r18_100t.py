# A short bilevel stage for two cores: the paper's lambda, damping, solver and
# clipping; fewer alternations and steps, smaller batches. Learning rates
# end at 0.001 of their peak, see bissl_r50_500t.py.
train_cfg = dict(
    type='BiSSLTrainLoop',
    num_alternations=100,
    num_lower_steps=10,
    num_upper_steps=4,
    head_warmup=dict(num_epochs=20),
    val_interval=10,
)
optim_wrapper = dict(
    type='BiSSLOptimWrapper',
    constructor='BiSSLOptimWrapperConstructor',
    regularizer=dict(type='SquaredDistance', weight=0.001),
    hypergradient=dict(
        damping=10.0, solver=dict(type='LayerwiseCGSolver', max_iters=5)
    ),
    # The paper's 1.0 at a batch of 1024, scaled to 128.
    lower=dict(
        optimizer=dict(
            type='bissl_mm.LARS', lr=0.125, momentum=0.9, weight_decay=1e-6, eta=0.001
        ),
        clip_grad=dict(max_norm=10.0),
    ),
    upper=dict(
        optimizer=dict(type='SGD', lr=0.01, momentum=0.9, weight_decay=0.001),
        clip_grad=dict(max_norm=10.0),
    ),
)
param_scheduler = dict(
    lower=[
        dict(type='LinearLR', start_factor=1e-4, by_epoch=False, begin=0, end=100),
        dict(type='CosineAnnealingLR', eta_min_ratio=0.001, by_epoch=False, begin=100),
    ],
    upper=[dict(type='CosineAnnealingLR', eta_min_ratio=0.001, by_epoch=False)],
)
