# Stage 4 of the demos of detection and, with --task digit-scenes-segmentation, of
# segmentation, both arms: the demo sets checkpoint, learning rate and weight decay.
_base_ = [
    '../_base_/tasks/{{$BISSL_TASK:digit-scenes-detection}}.py',
    '../_base_/schedules/by_epoch.py',
    '../_base_/stock_runtime.py',
]
network = dict(name='digits')
# The task's libraries and optimizer.
globals().update(_base_.fine_tune)

model = _base_.downstream
model.backbone.init_cfg = dict(
    type='Pretrained',
    checkpoint=f'{_base_.demo}/pretext/epoch_60.pth',
    prefix='backbone.',
)
train_cfg = dict(max_epochs=16, val_interval=8)
param_scheduler = dict(_base_.cosine, end=16)
