# Faster R-CNN C4 in small: a ResNet of 307,000 weights whose last stage is the
# detector's shared head, on images within 128 x 96 that are decoded once. For any
# set in COCO's format with annotations/instances_<part>.json, the images in
# <part> and the names of the classes, one a line, in classes.txt; benchmarks/
# evidence/run.py takes other layouts, too.
# Set, before the command, BISSL_DOWNSTREAM_DIR and BISSL_NUM_CLASSES.
_base_ = ['../data/decoded.py', '../models/faster-rcnn_c4.py']
networks = ('r10_32px',)

root = '{{$BISSL_DOWNSTREAM_DIR:data/downstream_coco}}'
# Pillow's bilinear resizing averages where it shrinks.
load, resize, boxes = (
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(128, 96), keep_ratio=True, backend='pillow'),
    dict(type='LoadAnnotations', with_bbox=True),
)
keys = ('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')
test_pipeline = [load, resize, boxes, dict(type='PackDetInputs', meta_keys=keys)]


def decoded(part, **settings):
    return dict(
        type='CocoDataset',
        _scope_='mmdet',
        data_root=root,
        metainfo=dict(classes=f'{root}/classes.txt'),
        ann_file=f'annotations/instances_{part}.json',
        data_prefix=dict(img=f'{part}/'),
        **settings,
    )


train_dataloader = dict(
    batch_size=8,
    dataset=dict(
        # Boxes are drawn on the resized image.
        dataset=decoded(
            'train',
            filter_cfg=dict(filter_empty_gt=True),
            pipeline=[load, boxes, resize],
        ),
        pipeline=[
            dict(type='RandomFlip', _scope_='mmdet', prob=0.5),
            dict(type='PackDetInputs', _scope_='mmdet'),
        ],
    ),
)
val_dataloader = dict(
    batch_size=16,
    dataset=dict(dataset=decoded('val', test_mode=True, pipeline=test_pipeline)),
)
test_dataloader = dict(
    batch_size=16,
    dataset=dict(dataset=decoded('test', test_mode=True, pipeline=test_pipeline)),
)
metric = dict(type='CocoMetric', _scope_='mmdet', metric='bbox', format_only=False)
val_evaluator = dict(metric, ann_file=f'{root}/annotations/instances_val.json')
test_evaluator = dict(metric, ann_file=f'{root}/annotations/instances_test.json')

downstream = dict(
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

fine_tune = dict(
    custom_imports=dict(
        imports=['bissl_mm.models', 'bissl_mm.datasets', 'bissl_mm.engine']
    ),
    default_scope='mmdet',
    search=dict(metric='coco/bbox_mAP_50', lr=(0.1, 0.8), weight_decay=(5e-4, 5e-3)),
    train_cfg=dict(max_epochs=8, val_interval=2),
    optim_wrapper=dict(optimizer=dict(lr=0.2), clip_grad=dict(max_norm=10.0)),
    param_scheduler=dict(end=8),
    default_hooks=dict(
        checkpoint=dict(interval=8, max_keep_ckpts=1, save_best='coco/bbox_mAP_50')
    ),
)
