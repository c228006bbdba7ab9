# FCN-16 on VOC2012 with the masks of SBD, short side 192, flip, mIoU (B.7).
#
# NOT the paper's data: the paper has "VOC07+12" (4.1, 4.3.1, B.7), which is
# fcn16_r50_voc0712-192px.py. This is the set of He et al. (2020), whose
# protocol 4.3.1 follows: VOC2012 train and SBD without VOC2012 val.
_base_ = '../models/fcn16_r50.py'

data_root = '{{$BISSL_DATA_DIR:data}}/VOCdevkit/VOC2012'
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

# A fifth of the training data is set aside for validation, at random and of
# every class (B.1; the masks are read at start for that). Tested on val.
train_dataloader = dict(
    # That of 4.2.1: B.7 has 16 for detection and no other for segmentation.
    total_batch_size=256,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    drop_last=False,
    dataset=dict(
        type='bissl_mm.StratifiedPart',
        by='rarest_class',
        share=0.8,
        seed=0,
        dataset=dict(
            type='ConcatDataset',
            _scope_='mmseg',
            datasets=[
                dict(
                    type='PascalVOCDataset',
                    data_root=data_root,
                    ann_file='ImageSets/Segmentation/train.txt',
                    data_prefix=dict(
                        img_path='JPEGImages', seg_map_path='SegmentationClass'
                    ),
                    pipeline=train_pipeline,
                ),
                dict(
                    type='PascalVOCDataset',
                    data_root=data_root,
                    ann_file='ImageSets/Segmentation/aug.txt',
                    data_prefix=dict(
                        img_path='JPEGImages', seg_map_path='SegmentationClassAug'
                    ),
                    pipeline=train_pipeline,
                ),
            ],
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
        by='rarest_class',
        share=0.8,
        complement=True,
        seed=0,
        dataset=dict(
            type='ConcatDataset',
            _scope_='mmseg',
            datasets=[
                dict(
                    type='PascalVOCDataset',
                    data_root=data_root,
                    ann_file='ImageSets/Segmentation/train.txt',
                    data_prefix=dict(
                        img_path='JPEGImages', seg_map_path='SegmentationClass'
                    ),
                    pipeline=test_pipeline,
                ),
                dict(
                    type='PascalVOCDataset',
                    data_root=data_root,
                    ann_file='ImageSets/Segmentation/aug.txt',
                    data_prefix=dict(
                        img_path='JPEGImages', seg_map_path='SegmentationClassAug'
                    ),
                    pipeline=test_pipeline,
                ),
            ],
        ),
    ),
)
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
        data_prefix=dict(img_path='JPEGImages', seg_map_path='SegmentationClass'),
        pipeline=test_pipeline,
    ),
)
val_evaluator = dict(type='IoUMetric', _scope_='mmseg', iou_metrics=['mIoU'])
test_evaluator = dict(type='IoUMetric', _scope_='mmseg', iou_metrics=['mIoU'])
val_cfg = dict()
test_cfg = dict()
