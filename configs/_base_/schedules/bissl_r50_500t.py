# The bilevel stage of the paper (4.2.2, B.3, B.4). A phase of N_L lower steps
# draws one pretext batch more, that of the Hessian: a new pass over the data
# begins where fewer than 21 batches remain, not 20 as in B.4.
train_cfg = dict(
    type='BiSSLTrainLoop',
    num_alternations=500,
    num_lower_steps=20,
    num_upper_steps=8,
    head_warmup=dict(num_epochs=20),
    val_interval=10,
)
# Peak of 1.0 at the lower level, as in all released runs of SimCLR and BYOL;
# 4.2.2 refers to 4.2.1, whose pretraining has 4.8. LARS without exclusions, as
# in the released runs (min_decay_dims, min_trust_dims of bissl_mm.LARS).
optim_wrapper = dict(
    type='BiSSLOptimWrapper',
    constructor='BiSSLOptimWrapperConstructor',
    regularizer=dict(type='SquaredDistance', weight=0.001),
    hypergradient=dict(
        damping=10.0, solver=dict(type='LayerwiseCGSolver', max_iters=5)
    ),
    lower=dict(
        optimizer=dict(
            type='bissl_mm.LARS', lr=1.0, momentum=0.9, weight_decay=1e-6, eta=0.001
        ),
        clip_grad=dict(max_norm=10.0),
    ),
    upper=dict(
        optimizer=dict(type='SGD', lr=0.03, momentum=0.9, weight_decay=0.001),
        clip_grad=dict(max_norm=10.0),
    ),
)
# The unit is steps of the level: warm-up over 10 * N_L lower steps. Both levels
# end at 0.001 of their peak, as in Bardes et al. and the released runs; the
# first version (4.2.1) and the thesis say "towards 0".
warmup = dict(type='LinearLR', start_factor=1e-4, by_epoch=False, begin=0)
cosine = dict(type='CosineAnnealingLR', eta_min_ratio=0.001, by_epoch=False)
param_scheduler = dict(
    lower=[dict(warmup, end=200), dict(cosine, begin=200)], upper=[cosine]
)
