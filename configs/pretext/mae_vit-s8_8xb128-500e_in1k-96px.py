# Stage 1 of the paper: MAE pretraining of ViT-S/8 (B.8).
#   tools/dist_train.sh configs/pretext/mae_vit-s8_8xb128-500e_in1k-96px.py 8
_base_ = [
    '../_base_/schedules/pretext_adamw.py',
    '../_base_/stock_runtime.py',
    '../_base_/pretext/mae_vit-s8_in1k-96px.py',
]

model = _base_.pretext_model
train_dataloader = _base_.pretext_dataloader
train_cfg = dict(max_epochs=500)
optim_wrapper = dict(paramwise_cfg=_base_.pretext_paramwise_cfg)
# A cosine from the first step on, without warm-up, as B.8 has it.
param_scheduler = dict(_base_.cosine, end=500)
