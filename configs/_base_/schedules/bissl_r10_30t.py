# A bilevel stage of two minutes on one core. Plain SGD at the lower level and
# lambda = 0.03 let theta_P follow theta_D within 300 lower steps.
train_cfg = dict(
    type='BiSSLTrainLoop',
    num_alternations=30,
    num_lower_steps=10,
    num_upper_steps=4,
    head_warmup=dict(num_epochs=20),
    val_interval=30,
)
optim_wrapper = dict(
    type='BiSSLOptimWrapper',
    constructor='BiSSLOptimWrapperConstructor',
    regularizer=dict(type='SquaredDistance', weight=0.03),
    hypergradient=dict(
        damping=0.0, solver=dict(type='IdentitySolver'), check_residual='never'
    ),
    lower=dict(
        optimizer=dict(type='SGD', lr=0.15, momentum=0.9, weight_decay=1e-4),
        clip_grad=dict(max_norm=10.0),
    ),
    upper=dict(
        optimizer=dict(type='SGD', lr=0.03, momentum=0.9, weight_decay=0.001),
        clip_grad=dict(max_norm=10.0),
    ),
    head_warmup=dict(optimizer=dict(type='Adam', lr=0.01, weight_decay=1e-4)),
)
param_scheduler = dict(
    lower=[
        dict(type='LinearLR', start_factor=1e-4, by_epoch=False, begin=0, end=30),
        dict(type='CosineAnnealingLR', eta_min_ratio=0.001, by_epoch=False, begin=30),
    ],
    upper=[dict(type='CosineAnnealingLR', eta_min_ratio=0.001, by_epoch=False)],
)
