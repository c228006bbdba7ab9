# Fine-tuning as in 4.2.1, shorter: SGD, cosine, best validation accuracy kept.
train_cfg = dict(
    type='EpochBasedTrainLoop', max_epochs=100, val_interval=5)
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=0.01, momentum=0.9, weight_decay=0.001))
param_scheduler = dict(
    type='CosineAnnealingLR',
    eta_min_ratio=0.001,
    by_epoch=True,
    end=100,
    convert_to_iter_based=True)
