# Blood cells, detection by Faster R-CNN C4 on ResNet-18: AP50. Regions are 7 x 7
# before conv5 instead of 14 x 14: conv5 on every region is what a C4 detector
# spends its time on.
_base_ = ['../data/bccd.py', '../models/faster-rcnn_c4.py']
networks = ('r18_48px', 'r18_64px')

downstream = dict(
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

fine_tune = dict(
    default_scope='mmdet',
    search=dict(metric='coco/bbox_mAP_50'),
    train_cfg=dict(max_epochs=12, val_interval=4),
    param_scheduler=dict(end=12),
    default_hooks=dict(
        checkpoint=dict(interval=12, max_keep_ckpts=1, save_best='coco/bbox_mAP_50')
    ),
)
