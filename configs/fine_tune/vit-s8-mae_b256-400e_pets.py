# Stage 4, the baseline arm after MAE, with layer-wise decay (B.8).
# The paper searches 50 pairs of learning rate and weight decay and prints none:
# those here are place-holders. tools/compare_arms.py searches.
#   python tools/train.py configs/fine_tune/vit-s8-mae_b256-400e_pets.py
_base_ = [
    '../_base_/upper/classification_vit-s8_pets-96px.py',
    '../_base_/schedules/fine_tune_100e.py',
    '../_base_/stock_runtime.py',
]
custom_imports = dict(imports=['bissl_mm.models', 'bissl_mm.datasets'])

model = dict(
    backbone=dict(
        init_cfg=dict(
            type='Pretrained',
            checkpoint='work_dirs/mae_vit-s8_8xb128-500e_in1k-96px/epoch_500.pth',
            prefix='backbone.',
        )
    )
)
# B.8, with the ranges and seeds of B.2.
search = dict(settings=50, seeds=10)
train_cfg = dict(max_epochs=400, val_interval=1)
optim_wrapper = dict(
    constructor='mmpretrain.LearningRateDecayOptimWrapperConstructor',
    paramwise_cfg=dict(layer_decay_rate=0.75),
)
param_scheduler = dict(end=400)
default_hooks = dict(
    checkpoint=dict(interval=50, max_keep_ckpts=1, save_best='accuracy/top1')
)
