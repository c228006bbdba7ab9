# BYOL with a ResNet of 307,000 weights at 32 px over any folder of images.
_base_ = 'simclr_r10_imagefolder-32px.py'

pretext_model = dict(
    _delete_=True,
    type='bissl_mm.BYOL',
    _scope_='mmpretrain',
    # 0.9995 remembers two thousand steps, half of a run of a hundred epochs.
    target_decay=0.99,
    data_preprocessor=dict(
        type='bissl_mm.BatchViews',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        num_views=2,
        crop_scale=(0.25, 1.0),
        color_jitter=dict(
            brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1, prob=0.8
        ),
        gray_prob=0.2,
    ),
    backbone=dict(
        type='bissl_mm.SmallResNet', norm_cfg=dict(type='bissl_mm.DifferentiableSyncBN')
    ),
    neck=dict(
        type='NonLinearNeck',
        in_channels=128,
        hid_channels=256,
        out_channels=128,
        num_layers=2,
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
            in_channels=128,
            hid_channels=256,
            out_channels=128,
            num_layers=2,
            with_bias=True,
            with_last_bn=False,
            with_last_bias=False,
            with_avg_pool=False,
            norm_cfg=dict(type='bissl_mm.DifferentiableSyncBN'),
        ),
    ),
)
