# BYOL on ImageNet at 96 px as in 4.2.1 of the paper: the views and the projector
# of SimCLR, a predictor like the projector.
_base_ = 'simclr_r50_in1k-96px.py'

pretext_model = dict(
    _delete_=True,
    type='bissl_mm.BYOL',
    _scope_='mmpretrain',
    target_decay=0.9995,
    data_preprocessor=dict(
        type='SelfSupDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        to_rgb=True,
    ),
    # Statistics of all processes' images, see simclr_r50_in1k-96px.py.
    backbone=dict(
        type='ResNet', depth=50, norm_cfg=dict(type='bissl_mm.DifferentiableSyncBN')
    ),
    neck=dict(
        type='NonLinearNeck',
        in_channels=2048,
        hid_channels=256,
        out_channels=256,
        num_layers=3,
        with_bias=True,
        with_last_bn=False,
        with_last_bias=False,
        with_avg_pool=True,
        norm_cfg=dict(type='bissl_mm.DifferentiableSyncBN'),
    ),
    head=dict(
        type='LatentPredictHead',
        loss=dict(type='CosineSimilarityLoss'),
        predictor=dict(
            type='NonLinearNeck',
            in_channels=256,
            hid_channels=256,
            out_channels=256,
            num_layers=3,
            with_bias=True,
            with_last_bn=False,
            with_last_bias=False,
            with_avg_pool=False,
            norm_cfg=dict(type='bissl_mm.DifferentiableSyncBN'),
        ),
    ),
)
