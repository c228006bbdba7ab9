# SimCLR pretraining of ResNet-18 on your own folder of unlabeled images:
#   export BISSL_PRETEXT_DIR=path/to/images
#   python tools/train.py configs/pretext/simclr_r18_b64-100e_imagefolder-64px.py
_base_ = [
    '../_base_/schedules/pretext_lars.py',
    '../_base_/package.py',
    '../_base_/stock_runtime.py',
    '../_base_/pretext/simclr_r18_imagefolder-64px.py',
]

model = _base_.pretext_model
train_dataloader = _base_.pretext_dataloader
train_cfg = dict(max_epochs=100)
# The paper's 4.8 at a batch of 1024, scaled to 64.
optim_wrapper = dict(optimizer=dict(lr=0.3))
param_scheduler = [dict(_base_.warmup, end=2), dict(_base_.cosine, begin=2, end=100)]
