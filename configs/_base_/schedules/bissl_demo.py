# The bilevel stage of the demos, with the paper's damping, solver and clipping.
# lambda is 0.1 instead of 0.001: at 125 lower steps instead of 10,000 a weaker
# pull would not move theta_P toward theta_D. Chosen on the validation data of
# the classification demo.
train_cfg = dict(
    type='BiSSLTrainLoop',
    num_alternations=25,
    num_lower_steps=5,
    num_upper_steps=4,
    head_warmup=dict(num_epochs=20),
    val_interval=5)
optim_wrapper = dict(
    type='BiSSLOptimWrapper',
    constructor='BiSSLOptimWrapperConstructor',
    reg_weight=0.1,
    damping=10.0,
    solver=dict(type='LayerwiseCGSolver', max_iters=5),
    lower=dict(
        optimizer=dict(type='SGD', lr=0.03, momentum=0.9, weight_decay=1e-4),
        clip_grad=dict(max_norm=10.0)),
    upper=dict(
        optimizer=dict(type='SGD', lr=0.02, momentum=0.9, weight_decay=1e-3),
        clip_grad=dict(max_norm=10.0)))
param_scheduler = dict(
    lower=[
        dict(
            type='LinearLR',
            start_factor=1e-4,
            by_epoch=False,
            begin=0,
            end=20),
        dict(
            type='CosineAnnealingLR',
            eta_min_ratio=0.001,
            by_epoch=False,
            begin=20),
    ],
    upper=[
        dict(type='CosineAnnealingLR', eta_min_ratio=0.001, by_epoch=False),
    ])
