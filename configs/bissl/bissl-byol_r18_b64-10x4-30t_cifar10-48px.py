# Stages 2 and 3 on two cores: BYOL on unlabeled CIFAR-10 images, by default with
# five texture classes of DTD.
#   python tools/train.py \
#       configs/bissl/bissl-byol_r18_b64-10x4-30t_cifar10-48px.py
_base_ = [
    '../_base_/tasks/{{$BISSL_TASK:dtd5}}.py',
    '../_base_/networks/r18_48px.py',
    '../_base_/schedules/bissl_r18_30t.py',
    '../_base_/bissl_runtime.py',
    '../_base_/pretext/byol_r18_cifar10-48px.py',
]
# Stock tools take BISSL_TASK without a look at the network.
assert _base_.network.name in _base_.networks, f'The task is for {_base_.networks}.'

# Dense tasks bring their own backbone.
if 'backbone' not in _base_.downstream:
    _base_.downstream.update(backbone=_base_.network.backbone, neck=_base_.network.neck)
    _base_.downstream.head.in_channels = _base_.network.channels
else:
    # At the linear classifier's rates RetinaNet's head diverges.
    optim_wrapper = dict(upper=dict(optimizer=dict(lr=0.01)), head_warmup=None)
model = dict(
    pretrained='work_dirs/byol_r18_b128-6e_cifar10-48px/epoch_6.pth',
    type='BiSSLModel',
    pretext=_base_.pretext_model,
    downstream=_base_.downstream,
    backbone_map=_base_.backbone_map,
)
train_cfg = dict(
    pretext_dataloader=_base_.pretext_dataloader, head_warmup=_base_.head_warmup
)
