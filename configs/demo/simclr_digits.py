# Stage 1 of the demo: SimCLR on some 1000 unlabeled handwritten digits.
# Run it through `make demo`, which writes the pictures first.
_base_ = [
    '../_base_/lower/simclr_digits.py',
    '../_base_/stock_runtime.py',
]
custom_imports = dict(imports=['bissl_mm.models', 'bissl_mm.engine'])

model = _base_.pretext_model
train_dataloader = _base_.pretext_dataloader
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=60)
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=0.06, momentum=0.9, weight_decay=1e-4))
param_scheduler = dict(
    type='CosineAnnealingLR',
    eta_min_ratio=0.001,
    by_epoch=True,
    end=60,
    convert_to_iter_based=True)
default_hooks = dict(
    logger=dict(interval=1),
    checkpoint=dict(interval=60, max_keep_ckpts=1))
