# Stage 4, a small FCN on your own set (see the bilevel config) from its
# pretraining; tools/compare_arms.py puts the stage's backbone in its place.
#   python tools/train.py configs/fine_tune/fcn8-r10-simclr_b8-8e_masks-128px.py
_base_ = [
    '../_base_/upper/fcn8_r10_masks-128px.py',
    '../_base_/schedules/fine_tune_100e.py',
    '../_base_/stock_runtime.py',
]
custom_imports = dict(
    imports=['bissl_mm.models', 'bissl_mm.datasets', 'bissl_mm.engine']
)

default_scope = 'mmseg'

model = dict(
    backbone=dict(
        init_cfg=dict(
            type='Pretrained',
            checkpoint='work_dirs/simclr_r10_b256-60e_imagefolder-32px/epoch_60.pth',
            prefix='backbone.',
        )
    )
)
search = dict(metric='mIoU', lr=(0.05, 0.4), weight_decay=(5e-4, 5e-3))
train_cfg = dict(max_epochs=8, val_interval=2)
optim_wrapper = dict(
    optimizer=dict(type='SGD', lr=0.2, momentum=0.9, weight_decay=0.001),
    clip_grad=dict(max_norm=10.0),
)
param_scheduler = dict(end=8)
default_hooks = dict(checkpoint=dict(interval=8, max_keep_ckpts=1, save_best='mIoU'))
