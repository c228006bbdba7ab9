# ResNet-18 below a linear classifier. Dense tasks bring their own backbone.
network = dict(
    name='r18_96px',
    backbone=dict(
        type='ResNet', depth=18, norm_cfg=dict(type='bissl_mm.DifferentiableSyncBN')
    ),
    neck=dict(type='GlobalAveragePooling'),
    channels=512,
)
