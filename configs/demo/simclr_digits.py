# Stage 1 of the demo: SimCLR on some 1000 unlabeled handwritten digits.
# Run it through `make demo`, which writes the pictures first.
_base_ = ['../_base_/lower/simclr_digits.py', '../_base_/stock_runtime.py']
custom_imports = dict(
    imports=['bissl_mm.models', 'bissl_mm.datasets', 'bissl_mm.engine']
)

model = _base_.pretext_model
# Replayed: a stage that was interrupted goes on with the same pictures.
train_dataloader = dict(
    batch_size=128,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='bissl_mm.ReplayedSampler', shuffle=True),
    collate_fn=dict(type='default_collate'),
    drop_last=True,
    dataset=dict(
        type='bissl_mm.ReplayedDataset', dataset=_base_.pretext_dataloader.dataset
    ),
)
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=60)
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=0.06, momentum=0.9, weight_decay=1e-4),
)
param_scheduler = dict(
    type='CosineAnnealingLR',
    eta_min_ratio=0.001,
    by_epoch=True,
    end=60,
    convert_to_iter_based=True,
)
default_hooks = dict(
    logger=dict(interval=1), checkpoint=dict(interval=10, max_keep_ckpts=2)
)
