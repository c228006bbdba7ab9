# ResNet-18 below a linear classifier. Dense tasks bring their own backbone.
network = dict(
    name='r18_48px',
    backbone=dict(type='ResNet', depth=18, norm_cfg=dict(type='BN')),
    neck=dict(type='GlobalAveragePooling'),
    channels=512,
)
