# BYOL on a ResNet as in 4.2.1 of the paper: the projector of SimCLR, a predictor
# like the projector; the pretext side says the depth. Of norms see simclr.py.
layers = dict(
    type='NonLinearNeck',
    hid_channels=256,
    out_channels=256,
    num_layers=3,
    with_bias=True,
    with_last_bn=False,
    with_last_bias=False,
    norm_cfg=dict(type='bissl_mm.DifferentiableSyncBN'),
)
pretext_model = dict(
    type='bissl_mm.BYOL',
    _scope_='mmpretrain',
    target_decay=0.9995,
    data_preprocessor=dict(
        type='SelfSupDataPreprocessor',
        non_blocking=True,
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        to_rgb=True,
    ),
    backbone=dict(type='ResNet', norm_cfg=dict(type='bissl_mm.DifferentiableSyncBN')),
    neck=dict(layers, with_avg_pool=True),
    head=dict(
        type='LatentPredictHead',
        loss=dict(type='CosineSimilarityLoss'),
        predictor=dict(layers, in_channels=256, with_avg_pool=False),
    ),
)
