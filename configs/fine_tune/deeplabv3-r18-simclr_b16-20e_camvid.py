# Stage 4, the baseline arm: DeepLabV3 from the pretraining, on CamVid.
#   python tools/train.py configs/fine_tune/deeplabv3-r18-simclr_b16-20e_camvid.py
_base_ = [
    '../_base_/upper/deeplabv3_r18_camvid-96px.py',
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
train_cfg = dict(max_epochs=20)
param_scheduler = dict(end=20)
default_hooks = dict(checkpoint=dict(interval=20, max_keep_ckpts=1, save_best='mIoU'))
