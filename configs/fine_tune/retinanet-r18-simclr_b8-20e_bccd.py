# Stage 4, the baseline arm: RetinaNet from the pretraining, on blood cells.
#   python tools/train.py configs/fine_tune/retinanet-r18-simclr_b8-20e_bccd.py
_base_ = [
    '../_base_/upper/retinanet_r18-fpn_bccd-160px.py',
    '../_base_/schedules/fine_tune_100e.py',
    '../_base_/stock_runtime.py',
]

default_scope = 'mmdet'

init_cfg = dict(
    type='Pretrained',
    checkpoint='work_dirs/simclr_r18_b256-20e_cifar10-48px/epoch_20.pth',
    prefix='backbone.',
)
model = dict(backbone=dict(init_cfg=init_cfg))
search = dict(metric='coco/bbox_mAP_50')
train_cfg = dict(max_epochs=20)
param_scheduler = dict(end=20)
default_hooks = dict(
    checkpoint=dict(interval=20, max_keep_ckpts=1, save_best='coco/bbox_mAP_50')
)
