# Stage 4, the baseline arm after MAE, with layer-wise decay (B.8).
#   python tools/train.py configs/fine_tune/vit-t8-mae_b40-30e_dtd5.py
_base_ = [
    '../_base_/upper/classification_vit-t8_dtd5-48px.py',
    '../_base_/schedules/fine_tune_100e.py',
    '../_base_/stock_runtime.py',
]

model = dict(
    backbone=dict(
        init_cfg=dict(
            type='Pretrained',
            checkpoint='work_dirs/mae_vit-t8_b64-20e_cifar10-48px/epoch_20.pth',
            prefix='backbone.',
        )
    )
)
train_cfg = dict(max_epochs=30)
optim_wrapper = dict(
    constructor='mmpretrain.LearningRateDecayOptimWrapperConstructor',
    paramwise_cfg=dict(layer_decay_rate=0.75),
)
param_scheduler = dict(end=30)
default_hooks = dict(
    checkpoint=dict(interval=50, max_keep_ckpts=1, save_best='accuracy/top1')
)
