# Linear classifier on ResNet-50, Oxford-IIIT Pets at 96 px (4.2.1, B.1, B.2).
# Pillow's bilinear resizing averages where it shrinks, as torchvision's on PIL
# images (Bardes et al., whom 4.2.1 follows) and as that of the pretext side;
# cv2's, mmpretrain's default, leaves 11% more contrast at a quarter.
train_dataset = dict(
    type='OxfordIIITPet',
    _scope_='mmpretrain',
    data_root='{{$BISSL_DATA_DIR:data}}/Oxford-IIIT_Pets',
    split='trainval',
    pipeline=[
        dict(type='LoadImageFromFile'),
        dict(
            type='RandomResizedCrop',
            scale=96,
            crop_ratio_range=(0.5, 1.0),
            backend='pillow',
        ),
        dict(type='RandomFlip', prob=0.5),
        dict(type='PackInputs'),
    ],
)
val_dataset = dict(
    type='OxfordIIITPet',
    _scope_='mmpretrain',
    data_root='{{$BISSL_DATA_DIR:data}}/Oxford-IIIT_Pets',
    split='trainval',
    pipeline=[
        dict(type='LoadImageFromFile'),
        dict(type='ResizeEdge', scale=109, edge='short', backend='pillow'),
        dict(type='CenterCrop', crop_size=96),
        dict(type='PackInputs'),
    ],
)

# Pets has no validation part: a fifth of each class is set aside.
# The batch is that of all processes together, any number that divides it.
# The last batch of an epoch is kept, as in the released runs (the paper is
# silent); it is 4% of Pets. The bilevel stage takes full batches only, by its own
# rule (B.4).
train_dataloader = dict(
    total_batch_size=256,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    drop_last=False,
    dataset=dict(type='bissl_mm.StratifiedPart', dataset=train_dataset, share=0.8),
)
val_dataloader = dict(
    batch_size=256,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='bissl_mm.StratifiedPart', dataset=val_dataset, share=0.8, complement=True
    ),
)
test_dataloader = dict(
    batch_size=256,
    num_workers=8,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='OxfordIIITPet',
        _scope_='mmpretrain',
        data_root='{{$BISSL_DATA_DIR:data}}/Oxford-IIIT_Pets',
        split='test',
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='ResizeEdge', scale=109, edge='short', backend='pillow'),
            dict(type='CenterCrop', crop_size=96),
            dict(type='PackInputs'),
        ],
    ),
)
val_evaluator = dict(type='Accuracy', _scope_='mmpretrain', topk=(1, 5))
test_evaluator = dict(type='Accuracy', _scope_='mmpretrain', topk=(1, 5))
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
    backbone=dict(
        type='ResNet', depth=50, norm_cfg=dict(type='bissl_mm.DifferentiableSyncBN')
    ),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='LinearClsHead',
        num_classes=37,
        in_channels=2048,
        loss=dict(type='CrossEntropyLoss', loss_weight=1.0),
        topk=(1, 5),
    ),
)
