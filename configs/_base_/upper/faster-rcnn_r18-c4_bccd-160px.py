# Faster R-CNN C4 on ResNet-18: blood cells, longest edge 128 to 160, a quarter
# of what the files have, and regions of 7 x 7 before conv5 instead of 14 x 14:
# conv5 on every region is what a C4 detector spends its time on.
_base_ = '../models/faster-rcnn_r50-c4.py'

metainfo = dict(classes=('RBC', 'WBC', 'Platelets'))
# Pillow's bilinear resizing averages where it shrinks, as in classification
# (classification_r50_pets-96px.py says why).
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

train_dataloader = dict(
    batch_size=8,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    collate_fn=dict(type='pseudo_collate'),
    drop_last=False,
    dataset=dict(
        type='CocoDataset',
        _scope_='mmdet',
        data_root='{{$BISSL_DATA_DIR:data}}/bccd_voc',
        ann_file='annotations_coco/instances_train.json',
        data_prefix=dict(img='JPEGImages/'),
        metainfo=metainfo,
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
        type='CocoDataset',
        _scope_='mmdet',
        data_root='{{$BISSL_DATA_DIR:data}}/bccd_voc',
        ann_file='annotations_coco/instances_val.json',
        data_prefix=dict(img='JPEGImages/'),
        metainfo=metainfo,
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
test_dataloader = dict(
    batch_size=4,
    num_workers=1,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='CocoDataset',
        _scope_='mmdet',
        data_root='{{$BISSL_DATA_DIR:data}}/bccd_voc',
        ann_file='annotations_coco/instances_test.json',
        data_prefix=dict(img='JPEGImages/'),
        metainfo=metainfo,
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
val_evaluator = dict(
    type='CocoMetric',
    _scope_='mmdet',
    metric='bbox',
    format_only=False,
    ann_file='{{$BISSL_DATA_DIR:data}}/bccd_voc/annotations_coco/instances_val.json',
)
test_evaluator = dict(
    type='CocoMetric',
    _scope_='mmdet',
    metric='bbox',
    format_only=False,
    ann_file='{{$BISSL_DATA_DIR:data}}/bccd_voc/annotations_coco/instances_test.json',
)
val_cfg = dict()
test_cfg = dict()

model = dict(
    backbone=dict(depth=18),
    rpn_head=dict(
        in_channels=256,
        feat_channels=256,
        # 8, 16, 32, 64 pixels: the images are smaller than the paper's.
        anchor_generator=dict(scales=[0.5, 1, 2, 4]),
    ),
    roi_head=dict(
        shared_head=dict(depth=18),
        bbox_roi_extractor=dict(out_channels=256, roi_layer=dict(output_size=7)),
        bbox_head=dict(roi_feat_size=4, in_channels=512, num_classes=3),
    ),
    train_cfg=dict(
        rpn_proposal=dict(nms_pre=1000, max_per_img=200),
        rcnn=dict(sampler=dict(num=16)),
    ),
    test_cfg=dict(rpn=dict(nms_pre=1000, max_per_img=100)),
)
