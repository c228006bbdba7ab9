# Stage 4, the baseline arm: a small ResNet at 32 px from its pretraining, on
# your own folder (see the bilevel config).
#   python tools/train.py configs/fine_tune/r10-simclr_b64-40e_imagefolder-32px.py
_base_ = [
    '../_base_/upper/classification_r10_imagefolder-32px.py',
    '../_base_/schedules/fine_tune_100e.py',
    '../_base_/stock_runtime.py',
]
custom_imports = dict(
    imports=['bissl_mm.models', 'bissl_mm.datasets', 'bissl_mm.engine']
)

model = dict(
    backbone=dict(
        init_cfg=dict(
            type='Pretrained',
            checkpoint='work_dirs/simclr_r10_b256-60e_imagefolder-32px/epoch_60.pth',
            prefix='backbone.',
        )
    )
)
default_hooks = dict(
    checkpoint=dict(interval=40, max_keep_ckpts=1, save_best='accuracy/top1')
)
# Small networks want large learning rates: below 0.01 they end undertrained.
search = dict(lr=(0.02, 0.32), weight_decay=(5e-4, 5e-3))
train_cfg = dict(max_epochs=40, val_interval=4)
optim_wrapper = dict(
    optimizer=dict(type='SGD', lr=0.08, momentum=0.9, weight_decay=0.002)
)
param_scheduler = dict(end=40)
