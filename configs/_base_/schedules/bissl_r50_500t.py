# The bilevel stage of the paper (4.2.2, B.3, B.4).
train_cfg = dict(
    type='BiSSLTrainLoop',
    num_alternations=500,
    num_lower_steps=20,
    num_upper_steps=8,
    head_warmup=dict(num_epochs=20),
    val_interval=10)
# The published runs use 1.0 at the lower level, not the paper's 4.8.
optim_wrapper = dict(
    type='BiSSLOptimWrapper',
    constructor='BiSSLOptimWrapperConstructor',
    reg_weight=0.001,
    damping=10.0,
    solver=dict(type='LayerwiseCGSolver', max_iters=5),
    lower=dict(
        optimizer=dict(
            type='mmpretrain.LARS', lr=1.0, momentum=0.9, weight_decay=1e-6),
        clip_grad=dict(max_norm=10.0)),
    upper=dict(
        optimizer=dict(type='SGD', lr=0.03, momentum=0.9, weight_decay=0.001),
        clip_grad=dict(max_norm=10.0)))
# The unit is steps of the level: warm-up over 10 * N_L lower steps.
param_scheduler = dict(
    lower=[
        dict(
            type='LinearLR',
            start_factor=1e-4,
            by_epoch=False,
            begin=0,
            end=200),
        dict(
            type='CosineAnnealingLR',
            eta_min_ratio=0.001,
            by_epoch=False,
            begin=200),
    ],
    upper=[
        dict(type='CosineAnnealingLR', eta_min_ratio=0.001, by_epoch=False),
    ])
