# Stage 4: fine-tuning of ResNet-18 from its pretraining, on your own folder (see the
# bilevel config):
#   python tools/train.py configs/fine_tune/r18_64px.py
_base_ = [
    '../_base_/tasks/{{$BISSL_TASK:imagefolder-64px}}.py',
    '../_base_/schedules/fine_tune.py',
    '../_base_/stock_runtime.py',
    '../_base_/networks/r18_64px.py',
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
    '{{$BISSL_CHECKPOINT:work_dirs/simclr_r18_b64-100e_imagefolder-64px/epoch_100.pth}}'
)
init_cfg = dict(type='Pretrained', checkpoint=checkpoint, prefix='backbone.')
model = _base_.downstream
model.backbone.init_cfg = init_cfg
if 'shared_head' in model.get('roi_head', ()):
    # The last stage is in the shared head, which reads the same file.
    model.roi_head.shared_head.init_cfg = init_cfg
