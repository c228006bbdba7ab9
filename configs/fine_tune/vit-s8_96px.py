# Stage 4 of the paper after MAE, fine-tuning of ViT-S/8 on Oxford Pets (B.8):
#   python tools/train.py configs/fine_tune/vit-s8_96px.py
# The paper searches 50 pairs of learning rate and weight decay and prints none:
# those here are place-holders. tools/compare_arms.py searches.
_base_ = [
    '../_base_/tasks/{{$BISSL_TASK:pets}}.py',
    '../_base_/schedules/fine_tune.py',
    '../_base_/stock_runtime.py',
    '../_base_/networks/vit-s8_96px.py',
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
    '{{$BISSL_CHECKPOINT:work_dirs/mae_vit-s8_8xb128-500e_in1k-96px/epoch_500.pth}}'
)
init_cfg = dict(type='Pretrained', checkpoint=checkpoint, prefix='backbone.')
model = _base_.downstream
model.backbone.init_cfg = init_cfg
# B.8, with the ranges and seeds of B.2.
search = dict(_base_.fine_tune.search, settings=50)
optim_wrapper = dict(_base_.layer_decay)
if 'simclr' in _base_.get('tuned', ()):
    optim_wrapper.update(optimizer=_base_.tuned.simclr)
