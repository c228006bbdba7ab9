# SimCLR pretraining of ResNet-18 on 10,000 unlabeled CIFAR-10 images.
#   python tools/train.py configs/pretext/simclr_r18_b256-20e_cifar10-48px.py
# About half an hour on two cores.
_base_ = [
    '../_base_/schedules/pretext_lars.py',
    '../_base_/package.py',
    '../_base_/stock_runtime.py',
    '../_base_/pretext/simclr_r18_cifar10-48px.py',
]

model = _base_.pretext_model
train_dataloader = dict(_base_.pretext_dataloader, batch_size=256)
train_cfg = dict(max_epochs=20)
# The paper's 4.8 at a batch of 1024, scaled to 256.
optim_wrapper = dict(optimizer=dict(lr=1.2))
param_scheduler = [dict(_base_.warmup, end=2), dict(_base_.cosine, begin=2, end=20)]
