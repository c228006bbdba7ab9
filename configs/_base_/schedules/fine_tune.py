# Fine-tuning as in 4.2.1, shorter: SGD, cosine, best validation accuracy kept.
# Learning rate and weight decay are place-holders: the paper searches them for
# every set (B.2), and so does tools/compare_arms.py, over the ranges of B.2, with
# fewer settings and seeds than its 100 and 10. A task may have figures of its
# own (fine_tune in its file).
_base_ = 'by_epoch.py'

search = dict(
    settings=8,
    seeds=5,
    lr=(1e-4, 1.0),
    weight_decay=(1e-5, 1e-2),
    metric='accuracy/top1',
    found=None,
)
train_cfg = dict(max_epochs=100, val_interval=5)
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=0.01, momentum=0.9, weight_decay=0.001),
)
# Ends at 0.001 of the peak, as the other stages do; the paper is silent.
param_scheduler = dict(_base_.cosine, end=100)
