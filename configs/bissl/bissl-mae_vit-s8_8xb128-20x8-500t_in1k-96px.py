# Stages 2 and 3 of the paper with MAE and ViT-S/8 on ImageNet at 96 px and Oxford
# Pets (B.8):
#   tools/dist_train.sh \
#       configs/bissl/bissl-mae_vit-s8_8xb128-20x8-500t_in1k-96px.py 8
# The paper gives no upper-level figures for MAE: learning rate and weight decay
# are those of SimCLR (Table 6). With the layer decay of B.8 the patch embedding
# learns at 0.03 * 0.75^13 = 0.0007, which on SGD, unlike on AdamW, nothing makes
# up for: search optim_wrapper.upper.optimizer.lr before trusting a result.
_base_ = [
    '../_base_/tasks/{{$BISSL_TASK:pets}}.py',
    '../_base_/networks/vit-s8_96px.py',
    '../_base_/schedules/bissl_r50_500t.py',
    '../_base_/bissl_runtime.py',
    '../_base_/pretext/mae_vit-s8_in1k-96px.py',
]
# Stock tools take BISSL_TASK without a look at the network.
assert _base_.network.name in _base_.networks, f'The task is for {_base_.networks}.'

# Dense tasks bring their own backbone.
if 'backbone' not in _base_.downstream:
    _base_.downstream.update(backbone=_base_.network.backbone, neck=_base_.network.neck)
    _base_.downstream.head.in_channels = _base_.network.channels
model = dict(
    pretrained='work_dirs/mae_vit-s8_8xb128-500e_in1k-96px/epoch_500.pth',
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
        optimizer=dict(_delete_=True, lr=1e-4, **_base_.adamw),
        paramwise_cfg=_base_.pretext_paramwise_cfg,
    ),
    upper=dict(_base_.layer_decay, optimizer=_base_.upper.simclr),
)
