# CamVid, segmentation by DeepLabV3 on ResNet-18, short side 96: mIoU. mmseg's own
# config has a deep stem (ResNetV1c), which no mmpretrain checkpoint fits.
_base_ = ['../data/camvid.py', '../models/fcn16.py']
networks = ('r18_48px', 'r18_64px')

downstream = dict(
    backbone=dict(
        depth=18, strides=(1, 2, 1, 1), dilations=(1, 1, 2, 4), contract_dilation=True
    ),
    decode_head=dict(
        _delete_=True,
        type='ASPPHead',
        in_channels=512,
        in_index=3,
        channels=128,
        dilations=(1, 4, 8, 12),
        dropout_ratio=0.1,
        num_classes=11,
        norm_cfg=dict(type='BN', requires_grad=True),
        align_corners=False,
        loss_decode=dict(
            type='CrossEntropyLoss', use_sigmoid=False, avg_non_ignore=True
        ),
    ),
)

fine_tune = dict(
    default_scope='mmseg',
    search=dict(metric='mIoU'),
    train_cfg=dict(max_epochs=20),
    param_scheduler=dict(end=20),
    default_hooks=dict(
        checkpoint=dict(interval=20, max_keep_ckpts=1, save_best='mIoU')
    ),
)
