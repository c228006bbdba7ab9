# BYOL pretraining of ResNet-18 on 10,000 unlabeled CIFAR-10 images.
#   python tools/train.py configs/pretext/byol_r18_b128-6e_cifar10-48px.py
_base_ = ['../_base_/lower/byol_r18_b128_cifar10-48px.py', '../_base_/stock_runtime.py']
custom_imports = dict(imports=['bissl_mm.models', 'bissl_mm.engine'])

model = _base_.pretext_model
train_dataloader = _base_.pretext_dataloader
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=6)
# The paper's 4.8 at a batch of 1024, scaled to 128.
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(
        type='bissl_mm.LARS', lr=0.6, momentum=0.9, weight_decay=1e-6, eta=0.001
    ),
)
param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=1e-4,
        by_epoch=True,
        begin=0,
        end=1,
        convert_to_iter_based=True,
    ),
    dict(
        type='CosineAnnealingLR',
        eta_min_ratio=0.001,
        by_epoch=True,
        begin=1,
        end=6,
        convert_to_iter_based=True,
    ),
]
