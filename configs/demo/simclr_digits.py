# Stage 1 of the demo: SimCLR on some 1000 unlabeled handwritten digits.
# Run it through `make demo`, which writes the pictures first.
_base_ = [
    '../_base_/pretext/simclr_digits.py',
    '../_base_/schedules/by_epoch.py',
    '../_base_/package.py',
    '../_base_/stock_runtime.py',
]

model = _base_.pretext_model
# Replayed: a stage that was interrupted goes on with the same pictures.
train_dataloader = dict(
    _base_.pretext_dataloader,
    num_workers=1,
    sampler=dict(type='bissl_mm.ReplayedSampler', shuffle=True),
    dataset=dict(
        type='bissl_mm.ReplayedDataset', dataset=_base_.pretext_dataloader.dataset
    ),
)
train_cfg = dict(max_epochs=60)
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=0.06, momentum=0.9, weight_decay=1e-4),
)
param_scheduler = dict(_base_.cosine, end=60)
default_hooks = dict(
    logger=dict(interval=1), checkpoint=dict(interval=10, max_keep_ckpts=2)
)
