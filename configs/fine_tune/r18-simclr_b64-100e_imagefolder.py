# Stage 4, the baseline arm: from the pretraining, on your own folder (see the bilevel config).
#   python tools/train.py configs/fine_tune/r18-simclr_b64-100e_imagefolder.py
_base_ = [
    '../_base_/upper/classification_r18_imagefolder-64px.py',
    '../_base_/schedules/fine_tune_100e.py',
    '../_base_/stock_runtime.py',
]

model = dict(
    backbone=dict(
        init_cfg=dict(
            type='Pretrained',
            checkpoint='work_dirs/simclr_r18_b64-100e_imagefolder-64px/epoch_100.pth',
            prefix='backbone.',
        )
    )
)
default_hooks = dict(
    checkpoint=dict(interval=50, max_keep_ckpts=1, save_best='accuracy/top1')
)
