# A ResNet of 307,000 weights below a linear classifier. Dense tasks bring their
# own backbone. Stock libraries build it where this package is installed: mmengine
# finds it by the prefix.
network = dict(
    name='r10_32px',
    backbone=dict(type='bissl_mm.SmallResNet', norm_cfg=dict(type='BN')),
    neck=dict(type='GlobalAveragePooling'),
    channels=128,
)
