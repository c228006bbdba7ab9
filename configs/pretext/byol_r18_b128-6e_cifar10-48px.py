# BYOL pretraining of ResNet-18 on 10,000 unlabeled CIFAR-10 images.
#   python tools/train.py configs/pretext/byol_r18_b128-6e_cifar10-48px.py
_base_ = [
    '../_base_/schedules/pretext_lars.py',
    '../_base_/package.py',
    '../_base_/stock_runtime.py',
    '../_base_/pretext/byol_r18_cifar10-48px.py',
]

model = _base_.pretext_model
train_dataloader = dict(_base_.pretext_dataloader, batch_size=128)
train_cfg = dict(max_epochs=6)
# The paper's 4.8 at a batch of 1024, scaled to 128.
optim_wrapper = dict(optimizer=dict(lr=0.6))
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-4, begin=0, end=1, **_base_.by_epoch),
    dict(
        type='CosineAnnealingLR', eta_min_ratio=0.001, begin=1, end=6, **_base_.by_epoch
    ),
]
