# Stage 4, a small Faster R-CNN C4 on your own set (see the bilevel config) from its
# pretraining; tools/compare_arms.py puts the stage's backbone in its place.
#   python tools/train.py configs/fine_tune/faster-rcnn-r10-c4-simclr_b8-8e_coco-128px.py
_base_ = [
    '../_base_/upper/faster-rcnn_r10-c4_coco-128px.py',
    '../_base_/schedules/fine_tune_100e.py',
    '../_base_/stock_runtime.py',
]
custom_imports = dict(
    imports=['bissl_mm.models', 'bissl_mm.datasets', 'bissl_mm.engine']
)

default_scope = 'mmdet'

init_cfg = dict(
    type='Pretrained',
    checkpoint='work_dirs/simclr_r10_b256-60e_imagefolder-32px/epoch_60.pth',
    prefix='backbone.',
)
# The last stage is in the shared head, which reads the same file.
model = dict(
    backbone=dict(init_cfg=init_cfg), roi_head=dict(shared_head=dict(init_cfg=init_cfg))
)
search = dict(metric='coco/bbox_mAP_50', lr=(0.1, 0.8), weight_decay=(5e-4, 5e-3))
train_cfg = dict(max_epochs=8, val_interval=2)
optim_wrapper = dict(
    optimizer=dict(type='SGD', lr=0.2, momentum=0.9, weight_decay=0.001),
    clip_grad=dict(max_norm=10.0),
)
param_scheduler = dict(end=8)
default_hooks = dict(
    checkpoint=dict(interval=8, max_keep_ckpts=1, save_best='coco/bbox_mAP_50')
)
