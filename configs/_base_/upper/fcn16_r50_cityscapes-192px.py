# FCN-16 on Cityscapes, fine annotations, short side 192, flip, mIoU (B.7).
_base_ = '../models/fcn16_r50.py'

# Pillow's bilinear resizing averages where it shrinks, as in classification
# (classification_r50_pets-96px.py says why).
# Masks are resized by the nearest pixel.
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='Resize', scale=(2048, 192), keep_ratio=True, backend='pillow'),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackSegInputs'),
]
# The labels stay at their own size: mmseg compares there.
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(2048, 192), keep_ratio=True, backend='pillow'),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs'),
]

# A fifth of every city's training images, drawn at random, is set aside for
# validation (B.1). Tested on val.
train_dataloader = dict(
    # That of 4.2.1: B.7 has 16 for detection and no other for segmentation.
    total_batch_size=256,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    drop_last=False,
    dataset=dict(
        type='bissl_mm.StratifiedPart',
        by='folder',
        share=0.8,
        seed=0,
        dataset=dict(
            type='CityscapesDataset',
            _scope_='mmseg',
            data_root='{{$BISSL_DATA_DIR:data}}/cityscapes/',
            data_prefix=dict(img_path='leftImg8bit/train', seg_map_path='gtFine/train'),
            pipeline=train_pipeline,
        ),
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='bissl_mm.StratifiedPart',
        by='folder',
        share=0.8,
        complement=True,
        seed=0,
        dataset=dict(
            type='CityscapesDataset',
            _scope_='mmseg',
            data_root='{{$BISSL_DATA_DIR:data}}/cityscapes/',
            data_prefix=dict(img_path='leftImg8bit/train', seg_map_path='gtFine/train'),
            pipeline=test_pipeline,
        ),
    ),
)
test_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='CityscapesDataset',
        _scope_='mmseg',
        data_root='{{$BISSL_DATA_DIR:data}}/cityscapes/',
        data_prefix=dict(img_path='leftImg8bit/val', seg_map_path='gtFine/val'),
        pipeline=test_pipeline,
    ),
)
val_evaluator = dict(type='IoUMetric', _scope_='mmseg', iou_metrics=['mIoU'])
test_evaluator = dict(type='IoUMetric', _scope_='mmseg', iou_metrics=['mIoU'])
val_cfg = dict()
test_cfg = dict()

model = dict(decode_head=dict(num_classes=19))
