# Blood cells (BCCD) in COCO's format, longest edge 128 to 160, a quarter of what
# the files have.
# Pillow's bilinear resizing averages where it shrinks, as in classification
# (tasks/_classification.py says why).
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(
        type='RandomResize',
        scale=(160, 160),
        ratio_range=(0.8, 1.0),
        keep_ratio=True,
        resize_type='Resize',
        backend='pillow',
    ),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackDetInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(160, 160), keep_ratio=True, backend='pillow'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(
        type='PackDetInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'),
    ),
]
root = '{{$BISSL_DATA_DIR:data}}/bccd_voc'
images = dict(
    type='CocoDataset',
    _scope_='mmdet',
    data_root=root,
    data_prefix=dict(img='JPEGImages/'),
    metainfo=dict(classes=('RBC', 'WBC', 'Platelets')),
)

train_dataloader = dict(
    batch_size=8,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    collate_fn=dict(type='pseudo_collate'),
    drop_last=False,
    dataset=dict(
        images,
        ann_file='annotations_coco/instances_train.json',
        filter_cfg=dict(filter_empty_gt=True, min_size=16),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=4,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        images,
        ann_file='annotations_coco/instances_val.json',
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
test_dataloader = dict(
    batch_size=4,
    num_workers=1,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        images,
        ann_file='annotations_coco/instances_test.json',
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
boxes = dict(type='CocoMetric', _scope_='mmdet', metric='bbox', format_only=False)
val_evaluator = dict(boxes, ann_file=f'{root}/annotations_coco/instances_val.json')
test_evaluator = dict(boxes, ann_file=f'{root}/annotations_coco/instances_test.json')
