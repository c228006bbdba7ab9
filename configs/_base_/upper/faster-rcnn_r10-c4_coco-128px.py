# Faster R-CNN C4 in small: a ResNet of 307,000 weights whose last stage is the
# detector's shared head, on images within 128 x 96 that are decoded once. For any
# set in COCO's format with annotations/instances_<part>.json, the images in
# <part> and the names of the classes, one a line, in classes.txt; benchmarks/
# evidence/run.py takes other layouts, too.
# Set, before the command, BISSL_DOWNSTREAM_DIR and BISSL_NUM_CLASSES.
_base_ = '../models/faster-rcnn_r50-c4.py'

images = dict(
    type='CocoDataset',
    _scope_='mmdet',
    data_root='{{$BISSL_DOWNSTREAM_DIR:data/downstream_coco}}',
    metainfo=dict(classes='{{$BISSL_DOWNSTREAM_DIR:data/downstream_coco}}/classes.txt'),
)
# Pillow's bilinear resizing averages where it shrinks.
decoded = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(128, 96), keep_ratio=True, backend='pillow'),
    dict(type='LoadAnnotations', with_bbox=True),
]
# Boxes are drawn on the resized image.
decoded_boxes = [decoded[0], decoded[2], decoded[1]]
test_pipeline = [
    *decoded,
    dict(
        type='PackDetInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'),
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
            ann_file='annotations/instances_train.json',
            data_prefix=dict(img='train/'),
            filter_cfg=dict(filter_empty_gt=True),
            pipeline=decoded_boxes,
            **images,
        ),
        pipeline=[
            dict(type='RandomFlip', _scope_='mmdet', prob=0.5),
            dict(type='PackDetInputs', _scope_='mmdet'),
        ],
    ),
)
val_dataloader = dict(
    batch_size=16,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='pseudo_collate'),
    dataset=dict(
        type='bissl_mm.InMemoryDataset',
        dataset=dict(
            ann_file='annotations/instances_val.json',
            data_prefix=dict(img='val/'),
            test_mode=True,
            pipeline=test_pipeline,
            **images,
        ),
    ),
)
test_dataloader = dict(
    batch_size=16,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='pseudo_collate'),
    dataset=dict(
        type='bissl_mm.InMemoryDataset',
        dataset=dict(
            ann_file='annotations/instances_test.json',
            data_prefix=dict(img='test/'),
            test_mode=True,
            pipeline=test_pipeline,
            **images,
        ),
    ),
)
val_evaluator = dict(
    type='CocoMetric',
    _scope_='mmdet',
    metric='bbox',
    format_only=False,
    ann_file='{{$BISSL_DOWNSTREAM_DIR:data/downstream_coco}}/'
    'annotations/instances_val.json',
)
test_evaluator = dict(
    type='CocoMetric',
    _scope_='mmdet',
    metric='bbox',
    format_only=False,
    ann_file='{{$BISSL_DOWNSTREAM_DIR:data/downstream_coco}}/'
    'annotations/instances_test.json',
)
val_cfg = dict()
test_cfg = dict()

model = dict(
    data_preprocessor=dict(pad_size_divisor=16),
    backbone=dict(
        _delete_=True,
        type='bissl_mm.SmallResNet',
        num_stages=3,
        strides=(1, 2, 2),
        dilations=(1, 1, 1),
        out_indices=(2,),
        norm_cfg=dict(type='BN'),
    ),
    rpn_head=dict(
        in_channels=64,
        feat_channels=64,
        # 8, 16, 32 and 64 pixels.
        anchor_generator=dict(scales=[1, 2, 4, 8], strides=[8]),
    ),
    roi_head=dict(
        shared_head=dict(_delete_=True, type='bissl_mm.SmallResLayer'),
        bbox_roi_extractor=dict(
            roi_layer=dict(output_size=7, sampling_ratio=1),
            out_channels=64,
            featmap_strides=[8],
        ),
        bbox_head=dict(
            roi_feat_size=4, in_channels=128, num_classes={{'$BISSL_NUM_CLASSES:10'}}
        ),
    ),
    train_cfg=dict(
        rpn_proposal=dict(nms_pre=400, max_per_img=100), rcnn=dict(sampler=dict(num=16))
    ),
    test_cfg=dict(rpn=dict(nms_pre=400, max_per_img=100)),
)
