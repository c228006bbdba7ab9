# Stage 1 of the paper: SimCLR pretraining of ResNet-50 (4.2.1).
#   tools/dist_train.sh configs/pretext/simclr_r50_8xb128-500e_in1k-96px.py 8
# The learning rate ends at 0.001 of its peak, as in Bardes et al. and the
# released runs; the thesis says "towards 0".
# The paper reports 1464 GPU hours on A100.
_base_ = ['../_base_/lower/simclr_r50_in1k-96px.py', '../_base_/stock_runtime.py']
custom_imports = dict(imports=['bissl_mm.models', 'bissl_mm.engine'])

model = _base_.pretext_model
train_dataloader = _base_.pretext_dataloader
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=500)

# Trust coefficient eta and weight decay of 4.2.1. Nothing is excluded from
# decay and trust ratio, as in the released runs; the paper is silent on it.
# Bardes et al., whose LARS it is, exclude norms and biases: min_decay_dims=2,
# min_trust_dims=2.
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(
        type='bissl_mm.LARS', lr=4.8, momentum=0.9, weight_decay=1e-6, eta=0.001
    ),
)
param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=1e-4,
        by_epoch=True,
        begin=0,
        end=10,
        convert_to_iter_based=True,
    ),
    dict(
        type='CosineAnnealingLR',
        eta_min_ratio=0.001,
        by_epoch=True,
        begin=10,
        end=500,
        convert_to_iter_based=True,
    ),
]
