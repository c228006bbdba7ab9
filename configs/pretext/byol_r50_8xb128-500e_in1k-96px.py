# Stage 1 of the paper: BYOL pretraining of ResNet-50 (4.2.1).
#   tools/dist_train.sh configs/pretext/byol_r50_8xb128-500e_in1k-96px.py 8
_base_ = [
    '../_base_/schedules/pretext_lars.py',
    '../_base_/package.py',
    '../_base_/stock_runtime.py',
    '../_base_/pretext/byol_r50_in1k-96px.py',
]

model = _base_.pretext_model
train_dataloader = _base_.pretext_dataloader
train_cfg = dict(max_epochs=500)
param_scheduler = [dict(_base_.warmup, end=10), dict(_base_.cosine, begin=10, end=500)]
