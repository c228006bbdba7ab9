# CamVid, segmentation by FCN-16 on ResNet-18, short side 96: mIoU. In a block of
# two 3x3 convolutions mmseg dilates the first.
_base_ = ['../data/camvid.py', '../models/fcn16.py']
networks = ('r18_48px', 'r18_64px')

downstream = dict(
    backbone=dict(depth=18), decode_head=dict(in_channels=512, num_classes=11)
)

fine_tune = dict(
    default_scope='mmseg',
    search=dict(metric='mIoU'),
    train_cfg=dict(max_epochs=8, val_interval=4),
    param_scheduler=dict(end=8),
    default_hooks=dict(checkpoint=dict(interval=8, max_keep_ckpts=1, save_best='mIoU')),
)
