# Stage 1 of the paper: BYOL pretraining of ResNet-50 (4.2.1).
#   tools/dist_train.sh configs/pretext/byol_r50_8xb128-500e_in1k-96px.py 8
_base_ = ['../_base_/lower/byol_r50_in1k-96px.py', '../_base_/stock_runtime.py']
custom_imports = dict(imports=['bissl_mm.models', 'bissl_mm.engine'])

model = _base_.pretext_model
train_dataloader = _base_.pretext_dataloader
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=500)
# Exclusions and the last learning rate: see SimCLR's config.
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(
        type='bissl_mm.LARS', lr=4.8, momentum=0.9, weight_decay=1e-6, eta=0.001
    ),
)
param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=1e-4,
        by_epoch=True,
        begin=0,
        end=10,
        convert_to_iter_based=True,
    ),
    dict(
        type='CosineAnnealingLR',
        eta_min_ratio=0.001,
        by_epoch=True,
        begin=10,
        end=500,
        convert_to_iter_based=True,
    ),
]
