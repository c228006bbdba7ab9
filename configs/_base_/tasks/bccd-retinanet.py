# Blood cells, detection by RetinaNet with FPN on ResNet-18, as mmdet has it (first
# stage frozen, norms with running statistics): AP50.
_base_ = '../data/bccd.py'
networks = ('r18_48px', 'r18_64px')

val_cfg = dict()
test_cfg = dict()

# The detector freezes the stem and the first stage, the pretext model does
# not: here both are trained in both. 'fix' would leave them as pretrained.
backbone_map = dict(frozen='train')
# Five warm-up passes for dense tasks (B.7).
head_warmup = dict(num_epochs=5)
downstream = dict(
    type='RetinaNet',
    _scope_='mmdet',
    data_preprocessor=dict(
        type='DetDataPreprocessor',
        non_blocking=True,
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_size_divisor=32,
    ),
    backbone=dict(
        type='ResNet',
        depth=18,
        num_stages=4,
        out_indices=(0, 1, 2, 3),
        frozen_stages=1,
        norm_cfg=dict(type='BN', requires_grad=True),
        norm_eval=True,
        style='pytorch',
    ),
    neck=dict(
        type='FPN',
        in_channels=[64, 128, 256, 512],
        out_channels=128,
        start_level=1,
        add_extra_convs='on_input',
        num_outs=4,
    ),
    bbox_head=dict(
        type='RetinaHead',
        num_classes=3,
        in_channels=128,
        stacked_convs=2,
        feat_channels=128,
        anchor_generator=dict(
            type='AnchorGenerator',
            octave_base_scale=2,
            scales_per_octave=3,
            ratios=[0.5, 1.0, 2.0],
            strides=[8, 16, 32, 64],
        ),
        bbox_coder=dict(
            type='DeltaXYWHBBoxCoder',
            target_means=[0.0, 0.0, 0.0, 0.0],
            target_stds=[1.0, 1.0, 1.0, 1.0],
        ),
        loss_cls=dict(
            type='FocalLoss', use_sigmoid=True, gamma=2.0, alpha=0.25, loss_weight=1.0
        ),
        loss_bbox=dict(type='L1Loss', loss_weight=1.0),
    ),
    train_cfg=dict(
        assigner=dict(
            type='MaxIoUAssigner',
            pos_iou_thr=0.5,
            neg_iou_thr=0.4,
            min_pos_iou=0,
            ignore_iof_thr=-1,
        ),
        sampler=dict(type='PseudoSampler'),
        allowed_border=-1,
        pos_weight=-1,
        debug=False,
    ),
    test_cfg=dict(
        nms_pre=1000,
        min_bbox_size=0,
        score_thr=0.05,
        nms=dict(type='nms', iou_threshold=0.5),
        max_per_img=100,
    ),
)

fine_tune = dict(
    default_scope='mmdet',
    search=dict(metric='coco/bbox_mAP_50'),
    train_cfg=dict(max_epochs=20),
    param_scheduler=dict(end=20),
    default_hooks=dict(
        checkpoint=dict(interval=20, max_keep_ckpts=1, save_best='coco/bbox_mAP_50')
    ),
)
