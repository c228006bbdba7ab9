# Stage 4 from public SimCLR weights, the baseline arm (C.6 of the paper).
#   python tools/train.py \
#       configs/fine_tune/r50-simclr-public_b256-400e_pets-224px.py
# C.6 searches 25 pairs of learning rate and weight decay and does not print
# the best ones: those of 96 px stand here as place-holders (Table 5).
# tools/compare_arms.py searches.
_base_ = [
    '../_base_/upper/classification_r50_pets-224px.py',
    '../_base_/stock_runtime.py',
]
custom_imports = dict(imports=['bissl_mm.models', 'bissl_mm.datasets'])

# C.6, with the ranges and seeds of B.2.
search = dict(
    settings=25,
    seeds=10,
    lr=(1e-4, 1.0),
    weight_decay=(1e-5, 1e-2),
    metric='accuracy/top1',
    found=None,
)

model = dict(
    backbone=dict(
        init_cfg=dict(
            type='Pretrained',
            checkpoint='work_dirs/simclr_r50_public.pth',
            prefix='backbone.',
        )
    )
)
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=400, val_interval=1)
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=0.0378, momentum=0.9, weight_decay=0.00114),
)
# Ends at 0.001 of the peak, as the other stages do; the paper is silent.
param_scheduler = dict(
    type='CosineAnnealingLR',
    eta_min_ratio=0.001,
    by_epoch=True,
    end=400,
    convert_to_iter_based=True,
)
default_hooks = dict(
    checkpoint=dict(
        type='CheckpointHook', interval=50, max_keep_ckpts=1, save_best='accuracy/top1'
    )
)
