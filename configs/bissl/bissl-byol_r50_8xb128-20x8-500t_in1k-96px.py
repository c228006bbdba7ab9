# Stages 2 and 3 of the paper with BYOL and ResNet-50 on ImageNet at 96 px, by
# default with Oxford Pets (4.2.2):
#   tools/dist_train.sh \
#       configs/bissl/bissl-byol_r50_8xb128-20x8-500t_in1k-96px.py 8
# Detection and segmentation (B.7), --task voc0712-c4, voc0712-fcn16,
# voc12aug-fcn16 or cityscapes-fcn16:
#   tools/dist_train.sh \
#       configs/bissl/bissl-byol_r50_8xb128-20x8-500t_in1k-96px.py 8 \
#       --task voc0712-c4
_base_ = [
    '../_base_/tasks/{{$BISSL_TASK:pets}}.py',
    '../_base_/networks/r50_96px.py',
    '../_base_/schedules/bissl_r50_500t.py',
    '../_base_/bissl_runtime.py',
    '../_base_/pretext/byol_r50_in1k-96px.py',
]
# Stock tools take BISSL_TASK without a look at the network.
assert _base_.network.name in _base_.networks, f'The task is for {_base_.networks}.'

# Dense tasks bring their own backbone.
if 'backbone' not in _base_.downstream:
    _base_.downstream.update(backbone=_base_.network.backbone, neck=_base_.network.neck)
    _base_.downstream.head.in_channels = _base_.network.channels
# Batch statistics over all processes, so that any number of them computes what
# one does. The paper is silent; the released runs, on 4 processes, have those
# of each process in this stage (256 pretext and 64 downstream images):
# model.sync_norms=False. MoCo's recipe for detection synchronises.
model = dict(
    pretrained='work_dirs/byol_r50_8xb128-500e_in1k-96px/epoch_500.pth',
    type='BiSSLModel',
    pretext=_base_.pretext_model,
    downstream=_base_.downstream,
    backbone_map=_base_.backbone_map,
    sync_norms=True,
)
train_cfg = dict(
    pretext_dataloader=_base_.pretext_dataloader, head_warmup=_base_.head_warmup
)
optim_wrapper = dict(upper=dict(optimizer=_base_.upper.byol))
