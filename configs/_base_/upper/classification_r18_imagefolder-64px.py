# Linear classifier on ResNet-18 over any folder with train/<class>,
# val/<class> and test/<class>. Set, before the command, BISSL_DOWNSTREAM_DIR
# and BISSL_NUM_CLASSES.
extensions = (
    '.jpg',
    '.jpeg',
    '.jfif',
    '.png',
    '.webp',
    '.tif',
    '.tiff',
    '.bmp',
    '.ppm',
    '.pgm',
)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(
        type='RandomResizedCrop',
        scale=64,
        crop_ratio_range=(0.5, 1.0),
        backend='pillow',
    ),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='ResizeEdge', scale=73, edge='short', backend='pillow'),
    dict(type='CenterCrop', crop_size=64),
    dict(type='PackInputs'),
]

# The last batch of an epoch is kept, as in the released runs (the paper is
# silent). The bilevel stage takes full batches only, by its own rule (B.4).
# Should a single image be left over for it, batch norms take the statistics of
# that image: then set drop_last=True, or another batch size.
train_dataloader = dict(
    batch_size=64,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    drop_last=False,
    dataset=dict(
        type='CustomDataset',
        _scope_='mmpretrain',
        data_root='{{$BISSL_DOWNSTREAM_DIR:data/downstream}}',
        data_prefix='train',
        extensions=extensions,
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=100,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='CustomDataset',
        _scope_='mmpretrain',
        data_root='{{$BISSL_DOWNSTREAM_DIR:data/downstream}}',
        data_prefix='val',
        extensions=extensions,
        pipeline=test_pipeline,
    ),
)
test_dataloader = dict(
    batch_size=100,
    num_workers=1,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='CustomDataset',
        _scope_='mmpretrain',
        data_root='{{$BISSL_DOWNSTREAM_DIR:data/downstream}}',
        data_prefix='test',
        extensions=extensions,
        pipeline=test_pipeline,
    ),
)
val_evaluator = dict(type='Accuracy', _scope_='mmpretrain')
test_evaluator = dict(type='Accuracy', _scope_='mmpretrain')
val_cfg = dict()
test_cfg = dict()

model = dict(
    type='ImageClassifier',
    _scope_='mmpretrain',
    data_preprocessor=dict(
        type='ClsDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        to_rgb=True,
    ),
    backbone=dict(type='ResNet', depth=18, norm_cfg=dict(type='BN')),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='LinearClsHead',
        num_classes={{'$BISSL_NUM_CLASSES:10'}},
        in_channels=512,
        loss=dict(type='CrossEntropyLoss', loss_weight=1.0),
    ),
)
