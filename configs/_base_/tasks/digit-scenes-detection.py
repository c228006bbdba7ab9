# A narrow Faster R-CNN with FPN on scenes of handwritten digits, 96 px.
_base_ = '../models/faster-rcnn_c4.py'
networks = ('digits',)
demo = 'work_dirs/demo-det'
root = '{{$BISSL_DEMO_DATA:work_dirs/demo-det/data}}'
images = dict(
    type='CocoDataset',
    _scope_='mmdet',
    data_root=root,
    metainfo=dict(classes=('0', '1', '2', '3', '4', '5', '6', '7', '8', '9')),
)
resize = dict(type='RandomResize', scale=(96, 96), ratio_range=(0.8, 1.25))
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(resize, keep_ratio=True),
    dict(type='PackDetInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    # Without it the scale factor of the boxes is not known.
    dict(type='Resize', scale=(96, 96), keep_ratio=True),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(
        type='PackDetInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'),
    ),
]
train_dataloader = dict(
    batch_size=10,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=True),
    collate_fn=dict(type='pseudo_collate'),
    drop_last=False,
    dataset=dict(
        images,
        ann_file='boxes_train.json',
        data_prefix=dict(img='scenes/train/'),
        filter_cfg=dict(filter_empty_gt=True),
        pipeline=train_pipeline,
    ),
)
evaluation = dict(
    batch_size=10, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False)
)
val_dataloader = dict(
    evaluation,
    dataset=dict(
        images,
        ann_file='boxes_val.json',
        data_prefix=dict(img='scenes/val/'),
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
test_dataloader = dict(
    evaluation,
    dataset=dict(
        images,
        ann_file='boxes_test.json',
        data_prefix=dict(img='scenes/test/'),
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
boxes = dict(type='CocoMetric', _scope_='mmdet', metric='bbox')
val_evaluator = dict(boxes, ann_file=f'{root}/boxes_val.json')
test_evaluator = dict(boxes, ann_file=f'{root}/boxes_test.json')

# Without the shared head of the last stage.
_base_.downstream.roi_head.pop('shared_head')
downstream = dict(
    data_preprocessor=dict(
        _delete_=True,
        type='DetDataPreprocessor',
        non_blocking=True,
        mean=[76.0, 76.0, 76.0],
        std=[90.0, 90.0, 90.0],
        pad_size_divisor=32,
    ),
    backbone=dict(
        _delete_=True,
        type='ResNet',
        depth=18,
        stem_channels=16,
        base_channels=16,
        num_stages=4,
        out_indices=(0, 1, 2, 3),
        frozen_stages=-1,
        norm_cfg=dict(type='BN', requires_grad=True),
        norm_eval=False,
        style='pytorch',
    ),
    neck=dict(type='FPN', in_channels=[16, 32, 64, 128], out_channels=32, num_outs=4),
    rpn_head=dict(
        in_channels=32,
        feat_channels=32,
        anchor_generator=dict(scales=[4], strides=[4, 8, 16, 32]),
    ),
    roi_head=dict(
        bbox_roi_extractor=dict(
            roi_layer=dict(output_size=7, sampling_ratio=2),
            out_channels=32,
            finest_scale=16,
            featmap_strides=[4, 8, 16, 32],
        ),
        bbox_head=dict(
            type='Shared2FCBBoxHead',
            with_avg_pool=False,
            in_channels=32,
            fc_out_channels=128,
            num_classes=10,
            reg_class_agnostic=True,
        ),
    ),
    train_cfg=dict(
        rpn=dict(sampler=dict(num=64)),
        rpn_proposal=dict(nms_pre=200, max_per_img=100),
        rcnn=dict(sampler=dict(num=32)),
    ),
    test_cfg=dict(rpn=dict(nms_pre=200, max_per_img=50), rcnn=dict(max_per_img=20)),
)

fine_tune = dict(
    default_scope='mmdet',
    optim_wrapper=dict(
        type='OptimWrapper',
        optimizer=dict(type='SGD', lr=0.02, momentum=0.9, weight_decay=0.001),
        clip_grad=dict(max_norm=10.0),
    ),
)
