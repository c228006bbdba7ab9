# Stage 1 of the paper: SimCLR pretraining of ResNet-50 (4.2.1).
#   tools/dist_train.sh configs/pretext/simclr_r50_8xb128-500e_in1k-96px.py 8
# The paper reports 1464 GPU hours on A100.
_base_ = [
    '../_base_/lower/simclr_r50_in1k-96px.py',
    '../_base_/stock_runtime.py',
]
custom_imports = dict(imports=['bissl_mm.models'])

model = _base_.pretext_model
train_dataloader = _base_.pretext_dataloader
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=500)

# The published code excludes nothing from weight decay and trust ratio. Its
# LARS keeps the learning rate out of the momentum buffer, mmpretrain's in it;
# they differ only while the learning rate changes.
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(
        type='mmpretrain.LARS', lr=4.8, momentum=0.9, weight_decay=1e-6))
param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=1e-4,
        by_epoch=True,
        begin=0,
        end=10,
        convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR',
        eta_min_ratio=0.001,
        by_epoch=True,
        begin=10,
        end=500,
        convert_to_iter_based=True),
]
