# DeepLabV3 on ResNet-18: CamVid at a short side of 96. mmseg's own config has
# a deep stem (ResNetV1c), which no mmpretrain checkpoint fits.
_base_ = 'fcn16_r18_camvid-96px.py'

model = dict(
    backbone=dict(strides=(1, 2, 1, 1), dilations=(1, 1, 2, 4), contract_dilation=True),
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
