# FCN-16 on ResNet-50 (B.7): the three 3x3 convolutions of conv5 have dilation 2
# and stride 1; two dilated 3x3 convolutions with BN and ReLU, a 1x1 classifier.
downstream = dict(
    type='EncoderDecoder',
    _scope_='mmseg',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_val=0,
        seg_pad_val=255,
        size_divisor=32,
        test_cfg=dict(size_divisor=32),
    ),
    backbone=dict(
        type='ResNet',
        depth=50,
        num_stages=4,
        out_indices=(0, 1, 2, 3),
        strides=(1, 2, 2, 1),
        dilations=(1, 1, 1, 2),
        norm_cfg=dict(type='BN', requires_grad=True),
        norm_eval=False,
        style='pytorch',
        # mmseg's own configs set True, which leaves the first of the three
        # with dilation 1.
        contract_dilation=False,
    ),
    decode_head=dict(
        type='FCNHead',
        in_channels=2048,
        in_index=3,
        channels=256,
        num_convs=2,
        kernel_size=3,
        dilation=6,
        concat_input=False,
        dropout_ratio=0.0,
        num_classes=21,
        norm_cfg=dict(type='BN', requires_grad=True),
        align_corners=False,
        loss_decode=dict(
            type='CrossEntropyLoss', use_sigmoid=False, avg_non_ignore=True
        ),
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)
val_evaluator = dict(type='IoUMetric', _scope_='mmseg', iou_metrics=['mIoU'])
test_evaluator = dict(type='IoUMetric', _scope_='mmseg', iou_metrics=['mIoU'])
val_cfg = dict()
test_cfg = dict()

backbone_map = None
# Five warm-up passes for dense tasks (B.7).
head_warmup = dict(num_epochs=5)
# Of the upper level, by pretext task. Neither the paper nor the authors' released
# runs have figures for segmentation: these are those of Pets (Table 6), whose
# batch is the same.
upper = dict(
    simclr=dict(lr=0.03, weight_decay=0.001), byol=dict(lr=0.02, weight_decay=0.002)
)
