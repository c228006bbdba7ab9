# SimCLR pretraining of ResNet-18 on your own folder of unlabeled images:
#   export BISSL_PRETEXT_DIR=path/to/images
#   python tools/train.py configs/pretext/simclr_r18_b64-100e_imagefolder-64px.py
_base_ = [
    '../_base_/lower/simclr_r18_imagefolder-64px.py',
    '../_base_/stock_runtime.py',
]
custom_imports = dict(imports=['bissl_mm.models', 'bissl_mm.engine'])

model = _base_.pretext_model
train_dataloader = _base_.pretext_dataloader
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=100)
# The paper's 4.8 at a batch of 1024, scaled to 64.
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(
        type='bissl_mm.LARS', lr=0.3, momentum=0.9, weight_decay=1e-6, eta=0.001
    ),
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
        end=100,
        convert_to_iter_based=True,
    ),
]
