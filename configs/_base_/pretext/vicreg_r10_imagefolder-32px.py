# VICReg with a ResNet of 307,000 weights at 32 px over any folder of images.
_base_ = '../data/image_folder_decoded-32px.py'

pretext_model = dict(
    type='bissl_mm.VICReg',
    _scope_='mmpretrain',
    data_preprocessor=_base_.two_views,
    backbone=dict(
        type='bissl_mm.SmallResNet', norm_cfg=dict(type='bissl_mm.DifferentiableSyncBN')
    ),
    # The published projector is four times as wide as a ResNet-50's features.
    neck=dict(
        type='NonLinearNeck',
        in_channels=128,
        hid_channels=512,
        out_channels=512,
        num_layers=3,
        with_bias=False,
        with_last_bn=False,
        with_avg_pool=True,
        norm_cfg=dict(type='bissl_mm.DifferentiableSyncBN'),
    ),
    head=dict(type='bissl_mm.VICRegHead'),
)
