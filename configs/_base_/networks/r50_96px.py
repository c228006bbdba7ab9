# ResNet-50 below a linear classifier. Dense tasks bring their own backbone.
network = dict(
    name='r50_96px',
    backbone=dict(
        type='ResNet', depth=50, norm_cfg=dict(type='bissl_mm.DifferentiableSyncBN')
    ),
    neck=dict(type='GlobalAveragePooling'),
    channels=2048,
)
