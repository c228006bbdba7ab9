# DINO with a ResNet of 307,000 weights at 32 px over any folder of images.
_base_ = '../data/image_folder_decoded-32px.py'

pretext_model = dict(
    type='bissl_mm.DINO',
    _scope_='mmpretrain',
    # As for BYOL at this size.
    target_decay=0.99,
    data_preprocessor=_base_.two_views,
    backbone=dict(
        type='bissl_mm.SmallResNet', norm_cfg=dict(type='bissl_mm.DifferentiableSyncBN')
    ),
    neck=dict(
        type='bissl_mm.DINONeck',
        in_channels=128,
        hid_channels=256,
        bottleneck_channels=64,
        out_channels=1024,
        norm_cfg=dict(type='bissl_mm.DifferentiableSyncBN'),
    ),
)
