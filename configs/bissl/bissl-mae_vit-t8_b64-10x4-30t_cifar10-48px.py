# Stages 2 and 3 on two cores: MAE on unlabeled CIFAR-10 images, by default with
# five texture classes of DTD.
#   python tools/train.py \
#       configs/bissl/bissl-mae_vit-t8_b64-10x4-30t_cifar10-48px.py
_base_ = [
    '../_base_/tasks/{{$BISSL_TASK:dtd5}}.py',
    '../_base_/networks/vit-t8_48px.py',
    '../_base_/schedules/bissl_r18_30t.py',
    '../_base_/bissl_runtime.py',
    '../_base_/pretext/mae_vit-t8_cifar10-48px.py',
]
# Stock tools take BISSL_TASK without a look at the network.
assert _base_.network.name in _base_.networks, f'The task is for {_base_.networks}.'

# Dense tasks bring their own backbone.
if 'backbone' not in _base_.downstream:
    _base_.downstream.update(backbone=_base_.network.backbone, neck=_base_.network.neck)
    _base_.downstream.head.in_channels = _base_.network.channels
model = dict(
    pretrained='work_dirs/mae_vit-t8_b64-20e_cifar10-48px/epoch_20.pth',
    type='BiSSLModel',
    pretext=_base_.pretext_model,
    downstream=_base_.downstream,
    backbone_map=_base_.mae_backbone_map,
)
train_cfg = dict(
    pretext_dataloader=_base_.pretext_dataloader, head_warmup=_base_.head_warmup
)
optim_wrapper = dict(
    lower=dict(
        optimizer=dict(_delete_=True, lr=2.5e-4, **_base_.adamw),
        paramwise_cfg=_base_.pretext_paramwise_cfg,
    ),
    # Gradients of a ViT are longer than a ResNet's.
    upper=dict(
        _base_.layer_decay, optimizer=dict(lr=0.003), clip_grad=dict(max_norm=30.0)
    ),
)
