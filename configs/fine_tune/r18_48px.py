# Stage 4 on two cores: fine-tuning of ResNet-18 after SimCLR on CIFAR-10 images, by
# default on five texture classes of DTD:
#   python tools/train.py configs/fine_tune/r18_48px.py
# Other arms have another checkpoint, and tools/compare_arms.py takes several:
#   STAGE=work_dirs/bissl-simclr_r18_b64-10x4-30t_cifar10-48px_dtd5
#   export BISSL_CHECKPOINT=$STAGE/backbone.pth
#   python tools/train.py configs/fine_tune/r18_48px.py
_base_ = [
    '../_base_/tasks/{{$BISSL_TASK:dtd5}}.py',
    '../_base_/schedules/fine_tune.py',
    '../_base_/stock_runtime.py',
    '../_base_/networks/r18_48px.py',
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
    '{{$BISSL_CHECKPOINT:work_dirs/simclr_r18_b256-20e_cifar10-48px/epoch_20.pth}}'
)
init_cfg = dict(type='Pretrained', checkpoint=checkpoint, prefix='backbone.')
model = _base_.downstream
model.backbone.init_cfg = init_cfg
if 'shared_head' in model.get('roi_head', ()):
    # The last stage is in the shared head, which reads the same file.
    model.roi_head.shared_head.init_cfg = init_cfg
