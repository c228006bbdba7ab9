# An ordinary stage: linear warm-up, cosine. The leaf says for how many epochs.
train_cfg = dict(type='EpochBasedTrainLoop')
by_epoch = dict(by_epoch=True, convert_to_iter_based=True)
warmup = dict(type='LinearLR', start_factor=1e-4, begin=0, **by_epoch)
cosine = dict(type='CosineAnnealingLR', eta_min_ratio=0.001, **by_epoch)
