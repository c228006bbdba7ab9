# Stage 4, the baseline arm: FCN-16 from the pretraining, on CamVid.
#   python tools/train.py configs/fine_tune/fcn16-r18-simclr_b16-8e_camvid.py
_base_ = [
    '../_base_/upper/fcn16_r18_camvid-96px.py',
    '../_base_/schedules/fine_tune_100e.py',
    '../_base_/stock_runtime.py',
]

default_scope = 'mmseg'

init_cfg = dict(
    type='Pretrained',
    checkpoint='work_dirs/simclr_r18_b256-20e_cifar10-48px/epoch_20.pth',
    prefix='backbone.',
)
model = dict(backbone=dict(init_cfg=init_cfg))
search = dict(metric='mIoU')
train_cfg = dict(max_epochs=8, val_interval=4)
param_scheduler = dict(end=8)
default_hooks = dict(checkpoint=dict(interval=8, max_keep_ckpts=1, save_best='mIoU'))
