# MAE pretraining of a small ViT on 10,000 unlabeled CIFAR-10 images.
#   python tools/train.py configs/pretext/mae_vit-t8_b64-20e_cifar10-48px.py
_base_ = ['../_base_/lower/mae_vit-t8_cifar10-48px.py', '../_base_/stock_runtime.py']

model = _base_.pretext_model
train_dataloader = _base_.pretext_dataloader
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=20)
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=5e-4, betas=(0.9, 0.95), weight_decay=0.05),
    paramwise_cfg=_base_.pretext_paramwise_cfg,
)
param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=1e-4,
        by_epoch=True,
        begin=0,
        end=2,
        convert_to_iter_based=True,
    ),
    dict(
        type='CosineAnnealingLR',
        eta_min_ratio=0.001,
        by_epoch=True,
        begin=2,
        end=20,
        convert_to_iter_based=True,
    ),
]
