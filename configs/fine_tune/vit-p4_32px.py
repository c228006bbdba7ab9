# Stage 4: fine-tuning of a small ViT after MAE, on your own folder:
#   python tools/train.py configs/fine_tune/vit-p4_32px.py
_base_ = [
    '../_base_/tasks/{{$BISSL_TASK:imagefolder-32px}}.py',
    '../_base_/schedules/fine_tune.py',
    '../_base_/stock_runtime.py',
    '../_base_/networks/vit-p4_32px.py',
]
# Stock tools take BISSL_TASK without a look at the network.
assert _base_.network.name in _base_.networks, f'The task is for {_base_.networks}.'
# The task's epochs, search and libraries.
globals().update(_base_.fine_tune)

# Dense tasks bring their own backbone.
if 'backbone' not in _base_.downstream:
    _base_.downstream.update(backbone=_base_.network.backbone, neck=_base_.network.neck)
    _base_.downstream.head.in_channels = _base_.network.channels

checkpoint = (
    '{{$BISSL_CHECKPOINT:work_dirs/mae_vit-p4_b256-60e_imagefolder-32px/epoch_60.pth}}'
)
init_cfg = dict(type='Pretrained', checkpoint=checkpoint, prefix='backbone.')
model = _base_.downstream
model.backbone.init_cfg = init_cfg
# A small ViT falls apart at the learning rates of a small ResNet.
search = dict(_base_.fine_tune.search, lr=(0.005, 0.05))
optim_wrapper = dict(optimizer=dict(lr=0.02, weight_decay=0.002))
