# Stage 4, the baseline arm: Faster R-CNN C4 from the pretraining, on blood cells.
#   python tools/train.py configs/fine_tune/faster-rcnn-r18-c4-simclr_b8-12e_bccd.py
_base_ = [
    '../_base_/upper/faster-rcnn_r18-c4_bccd-160px.py',
    '../_base_/schedules/fine_tune_100e.py',
    '../_base_/stock_runtime.py',
]

default_scope = 'mmdet'

init_cfg = dict(
    type='Pretrained',
    checkpoint='work_dirs/simclr_r18_b256-20e_cifar10-48px/epoch_20.pth',
    prefix='backbone.',
)
# conv5 is in the shared head, which reads the same file.
model = dict(
    backbone=dict(init_cfg=init_cfg), roi_head=dict(shared_head=dict(init_cfg=init_cfg))
)
search = dict(metric='coco/bbox_mAP_50')
train_cfg = dict(max_epochs=12, val_interval=4)
param_scheduler = dict(end=12)
default_hooks = dict(
    checkpoint=dict(interval=12, max_keep_ckpts=1, save_best='coco/bbox_mAP_50')
)
