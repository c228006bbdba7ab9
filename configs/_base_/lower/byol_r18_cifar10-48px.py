# BYOL with ResNet-18 at 48 px on unlabeled CIFAR-10 images, for two cores.
_base_ = 'simclr_r18_cifar10-48px.py'

pretext_model = dict(
    _delete_=True,
    type='bissl_mm.BYOL',
    _scope_='mmpretrain',
    # 0.9995 remembers two thousand steps, more than a run of minutes has.
    target_decay=0.99,
    data_preprocessor=dict(
        type='SelfSupDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        to_rgb=True,
    ),
    backbone=dict(
        type='ResNet', depth=18, norm_cfg=dict(type='bissl_mm.DifferentiableSyncBN')
    ),
    neck=dict(
        type='NonLinearNeck',
        in_channels=512,
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
