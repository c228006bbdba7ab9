# Stage 4: fine-tuning of a small ResNet from its pretraining, on your own folder or
# set (see the bilevel config); tools/compare_arms.py puts the stage's backbone in
# its place. The network and the data are this package's, which must be installed.
#   python tools/train.py configs/fine_tune/r10_32px.py
_base_ = [
    '../_base_/tasks/{{$BISSL_TASK:imagefolder-32px}}.py',
    '../_base_/schedules/fine_tune.py',
    '../_base_/stock_runtime.py',
    '../_base_/networks/r10_32px.py',
]
# Stock tools take BISSL_TASK without a look at the network.
assert _base_.network.name in _base_.networks, f'The task is for {_base_.networks}.'
# The task's epochs, search and libraries.
globals().update(_base_.fine_tune)

# Dense tasks bring their own backbone.
if 'backbone' not in _base_.downstream:
    _base_.downstream.update(backbone=_base_.network.backbone, neck=_base_.network.neck)
    _base_.downstream.head.in_channels = _base_.network.channels
    custom_hooks = [dict(type='bissl_mm.ChannelsLastHook')]

checkpoint = (
    '{{$BISSL_CHECKPOINT:work_dirs/simclr_r10_b256-60e_imagefolder-32px/epoch_60.pth}}'
)
init_cfg = dict(type='Pretrained', checkpoint=checkpoint, prefix='backbone.')
model = _base_.downstream
model.backbone.init_cfg = init_cfg
if 'shared_head' in model.get('roi_head', ()):
    # The last stage is in the shared head, which reads the same file.
    model.roi_head.shared_head.init_cfg = init_cfg
