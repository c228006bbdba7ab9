# SimCLR pretraining of a small ResNet at 32 px on your own folder of unlabeled
# images; half an hour on one core for 10,000 images.
#   export BISSL_PRETEXT_DIR=path/to/images
#   python tools/train.py configs/pretext/simclr_r10_b256-60e_imagefolder-32px.py
_base_ = [
    '../_base_/lower/simclr_r10_imagefolder-32px.py',
    '../_base_/stock_runtime.py',
]
custom_imports = dict(
    imports=['bissl_mm.models', 'bissl_mm.datasets', 'bissl_mm.engine'])

model = _base_.pretext_model
train_dataloader = dict(_base_.pretext_dataloader, batch_size=256)
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=60)
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=0.3, momentum=0.9, weight_decay=1e-4))
param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=1e-4,
        by_epoch=True,
        begin=0,
        end=3,
        convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR',
        eta_min_ratio=0.001,
        by_epoch=True,
        begin=3,
        end=60,
        convert_to_iter_based=True),
]
