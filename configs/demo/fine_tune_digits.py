# Stage 4 of the demo, both arms: the demo sets checkpoint, learning rate and
# weight decay.
_base_ = [
    '../_base_/tasks/digits.py',
    '../_base_/schedules/by_epoch.py',
    '../_base_/stock_runtime.py',
]

model = _base_.downstream
model.backbone.init_cfg = dict(
    type='Pretrained',
    checkpoint='work_dirs/demo/pretext/epoch_60.pth',
    prefix='backbone.',
)
train_cfg = dict(max_epochs=40, val_interval=2)
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=0.02, momentum=0.9, weight_decay=0.001),
)
param_scheduler = dict(_base_.cosine, end=40)
