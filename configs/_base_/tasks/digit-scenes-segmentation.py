# A narrow FCN on scenes of handwritten digits, 96 px. The backbone is dilated
# down to a stride of 4: the strokes are some pixels wide.
networks = ('digits',)
demo = 'work_dirs/demo-seg'
metainfo = dict(
    classes=('background', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9'),
    palette=[
        [0, 0, 0],
        [31, 119, 180],
        [255, 127, 14],
        [44, 160, 44],
        [214, 39, 40],
        [148, 103, 189],
        [140, 86, 75],
        [227, 119, 194],
        [127, 127, 127],
        [188, 189, 34],
        [23, 190, 207],
    ],
)
images = dict(
    type='BaseSegDataset',
    _scope_='mmseg',
    data_root='{{$BISSL_DEMO_DATA:work_dirs/demo-seg/data}}',
    img_suffix='.png',
    metainfo=metainfo,
)
resize = dict(type='RandomResize', scale=(96, 96), ratio_range=(0.8, 1.25))
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(resize, keep_ratio=True),
    dict(type='RandomCrop', crop_size=(76, 76)),
    dict(type='PackSegInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs'),
]
train_dataloader = dict(
    batch_size=10,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=True),
    drop_last=False,
    dataset=dict(
        images,
        data_prefix=dict(img_path='scenes/train', seg_map_path='masks/train'),
        pipeline=train_pipeline,
    ),
)
evaluation = dict(
    batch_size=20, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False)
)
val_dataloader = dict(
    evaluation,
    dataset=dict(
        images,
        data_prefix=dict(img_path='scenes/val', seg_map_path='masks/val'),
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
test_dataloader = dict(
    evaluation,
    dataset=dict(
        images,
        data_prefix=dict(img_path='scenes/test', seg_map_path='masks/test'),
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
val_evaluator = dict(type='IoUMetric', _scope_='mmseg', iou_metrics=['mIoU'])
test_evaluator = dict(type='IoUMetric', _scope_='mmseg', iou_metrics=['mIoU'])
val_cfg = dict()
test_cfg = dict()

downstream = dict(
    type='EncoderDecoder',
    _scope_='mmseg',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[76.0, 76.0, 76.0],
        std=[90.0, 90.0, 90.0],
        pad_val=0,
        seg_pad_val=255,
        size=(76, 76),
        test_cfg=dict(size_divisor=4),
    ),
    backbone=dict(
        type='ResNet',
        depth=18,
        stem_channels=16,
        base_channels=16,
        num_stages=4,
        out_indices=(0, 1, 2, 3),
        strides=(1, 1, 1, 1),
        dilations=(1, 1, 2, 4),
        norm_cfg=dict(type='BN', requires_grad=True),
        norm_eval=False,
        style='pytorch',
        contract_dilation=True,
    ),
    decode_head=dict(
        type='FCNHead',
        in_channels=128,
        in_index=3,
        channels=32,
        num_convs=2,
        kernel_size=3,
        dilation=2,
        concat_input=False,
        dropout_ratio=0.0,
        num_classes=11,
        norm_cfg=dict(type='BN', requires_grad=True),
        align_corners=False,
        # Nine pixels of ten are background.
        loss_decode=dict(
            type='CrossEntropyLoss', use_sigmoid=False, class_weight=[0.1] + [1.0] * 10
        ),
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)

fine_tune = dict(
    default_scope='mmseg',
    optim_wrapper=dict(
        type='OptimWrapper',
        optimizer=dict(type='SGD', lr=0.1, momentum=0.9, weight_decay=0.001),
    ),
)
