# Linear classifier on a ResNet of 307,000 weights at 32 px over any folder with
# train/<class>, val/<class> and test/<class>, whose images are decoded once.
# Set, before the command, BISSL_DOWNSTREAM_DIR and BISSL_NUM_CLASSES.
images = dict(
    type='CustomDataset',
    _scope_='mmpretrain',
    data_root='{{$BISSL_DOWNSTREAM_DIR:data/downstream}}',
    extensions=(
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
    ),
    pipeline=[
        dict(type='LoadImageFromFile'),
        dict(
            type='ResizeEdge',
            scale=32,
            edge='short',
            interpolation='bicubic',
            backend='pillow',
        ),
        dict(type='CenterCrop', crop_size=32),
        dict(type='PackInputs'),
    ],
)
train_dataloader = dict(
    batch_size=64,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=True),
    collate_fn=dict(type='default_collate'),
    drop_last=False,
    dataset=dict(
        type='bissl_mm.InMemoryDataset', dataset=dict(data_prefix='train', **images)
    ),
)
val_dataloader = dict(
    batch_size=250,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='default_collate'),
    dataset=dict(
        type='bissl_mm.InMemoryDataset', dataset=dict(data_prefix='val', **images)
    ),
)
test_dataloader = dict(
    batch_size=250,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='default_collate'),
    dataset=dict(
        type='bissl_mm.InMemoryDataset', dataset=dict(data_prefix='test', **images)
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
        type='bissl_mm.BatchViews',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        crop_scale=(0.5, 1.0),
    ),
    backbone=dict(type='bissl_mm.SmallResNet', norm_cfg=dict(type='BN')),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='LinearClsHead',
        num_classes={{'$BISSL_NUM_CLASSES:10'}},
        in_channels=128,
        loss=dict(type='CrossEntropyLoss', loss_weight=1.0),
    ),
)
