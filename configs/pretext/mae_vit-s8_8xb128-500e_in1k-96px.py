# Stage 1 of the paper: MAE pretraining of ViT-S/8 (B.8).
#   tools/dist_train.sh configs/pretext/mae_vit-s8_8xb128-500e_in1k-96px.py 8
_base_ = ['../_base_/lower/mae_vit-s8_in1k-96px.py', '../_base_/stock_runtime.py']

model = _base_.pretext_model
train_dataloader = _base_.pretext_dataloader
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=500)
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=5e-4, betas=(0.9, 0.95), weight_decay=0.05),
    paramwise_cfg=_base_.pretext_paramwise_cfg,
)
# A cosine from the first step on, without warm-up, as B.8 has it.
param_scheduler = dict(
    type='CosineAnnealingLR',
    eta_min_ratio=0.001,
    by_epoch=True,
    end=500,
    convert_to_iter_based=True,
)
