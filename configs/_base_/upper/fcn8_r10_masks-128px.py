# FCN on a ResNet of 307,000 weights, images within 128 x 96 that are decoded
# once. As FCN-16 with a dilated last stage; of the small network's stem and
# stages an eighth of the edges is left. For any set in mmseg's format with
# img_dir/<part>/*.jpg and ann_dir/<part>/*.png, 255 where no class is;
# benchmarks/evidence/run.py takes other layouts, too.
# Set, before the command, BISSL_DOWNSTREAM_DIR and BISSL_NUM_CLASSES.
_base_ = '../models/fcn16_r50.py'

images = dict(
    type='BaseSegDataset',
    _scope_='mmseg',
    data_root='{{$BISSL_DOWNSTREAM_DIR:data/downstream_masks}}',
    metainfo=dict(classes=tuple(map(str, range({{'$BISSL_NUM_CLASSES:10'}})))),
)
# Masks are resized by the nearest pixel, and are compared at this size: images
# of any size cost the same.
decoded = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='Resize', scale=(128, 96), keep_ratio=False, backend='pillow'),
    dict(
        type='KeyMapper',
        mapping=dict(img_shape='img_shape'),
        remapping=dict(img_shape='ori_shape'),
        transforms=[],
    ),
]
train_dataloader = dict(
    batch_size=8,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=True),
    collate_fn=dict(type='pseudo_collate'),
    drop_last=False,
    dataset=dict(
        type='bissl_mm.InMemoryDataset',
        dataset=dict(
            data_prefix=dict(img_path='img_dir/train', seg_map_path='ann_dir/train'),
            pipeline=decoded,
            **images,
        ),
        pipeline=[
            dict(type='RandomFlip', _scope_='mmseg', prob=0.5),
            dict(type='PackSegInputs', _scope_='mmseg'),
        ],
    ),
)
val_dataloader = dict(
    batch_size=32,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='pseudo_collate'),
    dataset=dict(
        type='bissl_mm.InMemoryDataset',
        dataset=dict(
            data_prefix=dict(img_path='img_dir/val', seg_map_path='ann_dir/val'),
            test_mode=True,
            pipeline=[*decoded, dict(type='PackSegInputs')],
            **images,
        ),
    ),
)
test_dataloader = dict(
    batch_size=32,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='pseudo_collate'),
    dataset=dict(
        type='bissl_mm.InMemoryDataset',
        dataset=dict(
            data_prefix=dict(img_path='img_dir/test', seg_map_path='ann_dir/test'),
            test_mode=True,
            pipeline=[*decoded, dict(type='PackSegInputs')],
            **images,
        ),
    ),
)
val_evaluator = dict(type='IoUMetric', _scope_='mmseg', iou_metrics=['mIoU'])
test_evaluator = dict(type='IoUMetric', _scope_='mmseg', iou_metrics=['mIoU'])
val_cfg = dict()
test_cfg = dict()

model = dict(
    data_preprocessor=dict(size_divisor=8, test_cfg=dict(size_divisor=8)),
    backbone=dict(
        _delete_=True,
        type='bissl_mm.SmallResNet',
        strides=(1, 2, 2, 1),
        dilations=(1, 1, 1, 2),
        norm_cfg=dict(type='BN'),
    ),
    decode_head=dict(
        in_channels=128,
        in_index=0,
        channels=64,
        num_classes={{'$BISSL_NUM_CLASSES:10'}},
    ),
)
