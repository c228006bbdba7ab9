# SimCLR pretraining of the paper's first version: ResNet-18 on STL-10's unlabeled
# images (4.2.1). Its baseline has 600 epochs:
#   tools/dist_train.sh configs/pretext/simclr_r18_8xb128-500e_stl10-96px.py 8
#   tools/dist_train.sh configs/pretext/simclr_r18_8xb128-500e_stl10-96px.py 8 \
#       --work-dir work_dirs/simclr_r18_8xb128-600e_stl10-96px \
#       --cfg-options train_cfg.max_epochs=600 param_scheduler.1.end=600
_base_ = [
    '../_base_/schedules/pretext_lars.py',
    '../_base_/package.py',
    '../_base_/stock_runtime.py',
    '../_base_/pretext/simclr_r18_stl10-96px.py',
]

model = _base_.pretext_model
train_dataloader = _base_.pretext_dataloader
train_cfg = dict(max_epochs=500)
param_scheduler = [dict(_base_.warmup, end=10), dict(_base_.cosine, begin=10, end=500)]
