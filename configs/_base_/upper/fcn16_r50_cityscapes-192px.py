# FCN-16 on Cityscapes, fine annotations, short side 192, flip, mIoU (B.7).
_base_ = '../models/fcn16_r50.py'

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='Resize', scale=(2048, 192), keep_ratio=True),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackSegInputs'),
]
# The labels stay at their own size: mmseg compares there.
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(2048, 192), keep_ratio=True),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs'),
]

# A fifth of every city's training images is set aside for validation (B.1):
# they are sorted by city. Tested on val.
train_dataloader = dict(
    total_batch_size=256,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    drop_last=False,
    dataset=dict(
        type='CityscapesDataset',
        _scope_='mmseg',
        data_root='{{$BISSL_DATA_DIR:data}}/cityscapes/',
        data_prefix=dict(
            img_path='leftImg8bit/train', seg_map_path='gtFine/train'),
        indices=[i for i in range(2975) if i % 5 != 4],
        pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='CityscapesDataset',
        _scope_='mmseg',
        data_root='{{$BISSL_DATA_DIR:data}}/cityscapes/',
        data_prefix=dict(
            img_path='leftImg8bit/train', seg_map_path='gtFine/train'),
        indices=[i for i in range(2975) if i % 5 == 4],
        pipeline=test_pipeline))
test_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='CityscapesDataset',
        _scope_='mmseg',
        data_root='{{$BISSL_DATA_DIR:data}}/cityscapes/',
        data_prefix=dict(
            img_path='leftImg8bit/val', seg_map_path='gtFine/val'),
        pipeline=test_pipeline))
val_evaluator = dict(type='IoUMetric', _scope_='mmseg', iou_metrics=['mIoU'])
test_evaluator = dict(type='IoUMetric', _scope_='mmseg', iou_metrics=['mIoU'])
val_cfg = dict()
test_cfg = dict()

model = dict(decode_head=dict(num_classes=19))
