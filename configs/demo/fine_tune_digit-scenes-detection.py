# Stage 4 of the demo of detection, both arms: the demo sets checkpoint, learning
# rate and weight decay.
_base_ = [
    '../_base_/upper/faster-rcnn-fpn_digit-scenes.py',
    '../_base_/stock_runtime.py',
]
default_scope = 'mmdet'

model = dict(
    backbone=dict(
        init_cfg=dict(
            type='Pretrained',
            checkpoint='work_dirs/demo-det/pretext/epoch_60.pth',
            prefix='backbone.',
        )
    )
)
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=16, val_interval=8)
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=0.02, momentum=0.9, weight_decay=0.001),
    clip_grad=dict(max_norm=10.0),
)
param_scheduler = dict(
    type='CosineAnnealingLR',
    eta_min_ratio=0.001,
    by_epoch=True,
    end=16,
    convert_to_iter_based=True,
)
