# FCN-16 on VOC12 with the augmented set, short side 192, flip, mIoU (B.7).
_base_ = '../models/fcn16_r50.py'

data_root = '{{$BISSL_DATA_DIR:data}}/VOCdevkit/VOC2012'
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

# A fifth of the training data is set aside for validation (B.1): every fifth
# image of either part. Tested on val.
parts = (('train', 'SegmentationClass', 1464),
         ('aug', 'SegmentationClassAug', 9118))
train_dataloader = dict(
    total_batch_size=256,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    drop_last=False,
    dataset=dict(
        type='ConcatDataset',
        _scope_='mmseg',
        datasets=[
            dict(
                type='PascalVOCDataset',
                data_root=data_root,
                ann_file=f'ImageSets/Segmentation/{part}.txt',
                data_prefix=dict(
                    img_path='JPEGImages', seg_map_path=folder),
                indices=[i for i in range(number) if i % 5 != 4],
                pipeline=train_pipeline)
            for part, folder, number in parts
        ]))
val_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='ConcatDataset',
        _scope_='mmseg',
        datasets=[
            dict(
                type='PascalVOCDataset',
                data_root=data_root,
                ann_file=f'ImageSets/Segmentation/{part}.txt',
                data_prefix=dict(
                    img_path='JPEGImages', seg_map_path=folder),
                indices=[i for i in range(number) if i % 5 == 4],
                pipeline=test_pipeline)
            for part, folder, number in parts
        ]))
test_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='PascalVOCDataset',
        _scope_='mmseg',
        data_root=data_root,
        ann_file='ImageSets/Segmentation/val.txt',
        data_prefix=dict(
            img_path='JPEGImages', seg_map_path='SegmentationClass'),
        pipeline=test_pipeline))
val_evaluator = dict(type='IoUMetric', _scope_='mmseg', iou_metrics=['mIoU'])
test_evaluator = dict(type='IoUMetric', _scope_='mmseg', iou_metrics=['mIoU'])
val_cfg = dict()
test_cfg = dict()
