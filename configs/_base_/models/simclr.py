# SimCLR on a ResNet as in 4.2.1 of the paper; the pretext side says its depth.
# Norms take the statistics of all processes' images, as in the released
# pretraining; the paper is silent. Of the bilevel stage see its configs,
# sync_norms.
pretext_model = dict(
    type='bissl_mm.SimCLR',
    _scope_='mmpretrain',
    data_preprocessor=dict(
        type='SelfSupDataPreprocessor',
        non_blocking=True,
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        to_rgb=True,
    ),
    backbone=dict(type='ResNet', norm_cfg=dict(type='bissl_mm.DifferentiableSyncBN')),
    neck=dict(
        type='NonLinearNeck',
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
        type='ContrastiveHead', loss=dict(type='CrossEntropyLoss'), temperature=0.5
    ),
)
