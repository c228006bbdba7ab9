# MAE pretraining of a small ViT on 10,000 unlabeled CIFAR-10 images.
#   python tools/train.py configs/pretext/mae_vit-t8_b64-20e_cifar10-48px.py
_base_ = [
    '../_base_/schedules/pretext_adamw.py',
    '../_base_/stock_runtime.py',
    '../_base_/pretext/mae_vit-t8_cifar10-48px.py',
]

model = _base_.pretext_model
train_dataloader = _base_.pretext_dataloader
train_cfg = dict(max_epochs=20)
optim_wrapper = dict(paramwise_cfg=_base_.pretext_paramwise_cfg)
param_scheduler = [dict(_base_.warmup, end=2), dict(_base_.cosine, begin=2, end=20)]
