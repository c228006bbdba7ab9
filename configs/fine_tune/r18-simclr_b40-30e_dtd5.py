# Stage 4, the baseline arm: from the pretraining, on five texture classes of DTD.
#   python tools/train.py configs/fine_tune/r18-simclr_b40-30e_dtd5.py
_base_ = [
    '../_base_/upper/classification_r18_dtd5-48px.py',
    '../_base_/schedules/fine_tune_100e.py',
    '../_base_/stock_runtime.py',
]

model = dict(
    backbone=dict(
        init_cfg=dict(
            type='Pretrained',
            checkpoint='work_dirs/simclr_r18_b256-20e_cifar10-48px/epoch_20.pth',
            prefix='backbone.',
        )
    )
)
default_hooks = dict(
    checkpoint=dict(interval=50, max_keep_ckpts=1, save_best='accuracy/top1')
)
train_cfg = dict(max_epochs=30)
param_scheduler = dict(end=30)
