# Stage 4 from public SimCLR weights at 224 px (C.6 of the paper), Oxford Pets:
#   python tools/train.py configs/fine_tune/r50_224px.py
# The BiSSL arm has another checkpoint, learning rate and weight decay (place-
# holders: those of 96 px, Table 7):
#   STAGE=work_dirs/bissl-simclr_r50_8xb128-10x4-200t_in1k-224px_pets
#   export BISSL_CHECKPOINT=$STAGE/backbone.pth
#   python tools/train.py configs/fine_tune/r50_224px.py \
#       --cfg-options optim_wrapper.optimizer.lr=0.00153 \
#       optim_wrapper.optimizer.weight_decay=0.00314
# Your own class folders: --task imagefolder-224px (see the bilevel config).
_base_ = [
    '../_base_/tasks/{{$BISSL_TASK:pets}}.py',
    '../_base_/schedules/fine_tune.py',
    '../_base_/stock_runtime.py',
    '../_base_/networks/r50_224px.py',
    '../_base_/views/classification_224px.py',
]
# Stock tools take BISSL_TASK without a look at the network.
assert _base_.network.name in _base_.networks, f'The task is for {_base_.networks}.'
# The task's epochs, search and libraries.
globals().update(_base_.fine_tune)
# C.6, with the ranges and seeds of B.2. It prints no learning rates: those of 96 px
# are place-holders.
search = dict(_base_.fine_tune.search, settings=25)
if 'simclr' in _base_.get('tuned', ()):
    optim_wrapper = dict(optimizer=_base_.tuned.simclr)

# Dense tasks bring their own backbone.
if 'backbone' not in _base_.downstream:
    _base_.downstream.update(backbone=_base_.network.backbone, neck=_base_.network.neck)
    _base_.downstream.head.in_channels = _base_.network.channels

# 224 px in the place of 96, pixels from 0 to 1 (pretext/simclr_r50_in1k-224px.py).
train_dataloader = dict(dataset=dict(pipeline=_base_.train_224px))
val_dataloader = dict(dataset=dict(pipeline=_base_.test_224px))
test_dataloader = dict(dataset=dict(pipeline=_base_.test_224px))
_base_.downstream.data_preprocessor.update(mean=[0.0] * 3, std=[255.0] * 3)

checkpoint = '{{$BISSL_CHECKPOINT:work_dirs/simclr_r50_public.pth}}'
init_cfg = dict(type='Pretrained', checkpoint=checkpoint, prefix='backbone.')
model = _base_.downstream
model.backbone.init_cfg = init_cfg
