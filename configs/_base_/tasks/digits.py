# Handwritten digits, five labeled pictures of each, by a linear classifier.
# For its demo alone.
networks = ()
images = dict(
    type='CustomDataset',
    _scope_='mmpretrain',
    data_root='{{$BISSL_DEMO_DATA:work_dirs/demo/data}}/downstream',
)
crop = dict(type='RandomResizedCrop', crop_ratio_range=(0.5, 1.0), backend='pillow')
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(crop, scale=32),
    dict(type='PackInputs'),
]
test_pipeline = [dict(type='LoadImageFromFile'), dict(type='PackInputs')]
train_dataloader = dict(
    batch_size=25,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=True),
    drop_last=False,
    dataset=dict(images, data_prefix='train', pipeline=train_pipeline),
)
val_dataloader = dict(
    batch_size=150,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(images, data_prefix='val', pipeline=test_pipeline),
)
test_dataloader = dict(
    batch_size=200,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(images, data_prefix='test', pipeline=test_pipeline),
)
val_evaluator = dict(type='Accuracy', _scope_='mmpretrain')
test_evaluator = dict(type='Accuracy', _scope_='mmpretrain')
val_cfg = dict()
test_cfg = dict()

downstream = dict(
    type='ImageClassifier',
    _scope_='mmpretrain',
    data_preprocessor=dict(
        type='ClsDataPreprocessor', mean=[76.0, 76.0, 76.0], std=[90.0, 90.0, 90.0]
    ),
    backbone=dict(
        type='ResNet',
        depth=18,
        stem_channels=16,
        base_channels=16,
        norm_cfg=dict(type='BN'),
    ),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='LinearClsHead',
        num_classes=10,
        in_channels=128,
        loss=dict(type='CrossEntropyLoss', loss_weight=1.0),
    ),
)
