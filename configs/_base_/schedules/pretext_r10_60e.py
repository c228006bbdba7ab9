# Pretraining of a small network: SGD, three epochs of warm-up, cosine.
_base_ = 'by_epoch.py'

train_cfg = dict(max_epochs=60)
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=0.3, momentum=0.9, weight_decay=1e-4),
)
param_scheduler = [dict(_base_.warmup, end=3), dict(_base_.cosine, begin=3, end=60)]
