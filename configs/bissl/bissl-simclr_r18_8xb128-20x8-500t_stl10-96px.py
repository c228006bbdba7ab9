# Stages 2 and 3 of the paper's first version: SimCLR and ResNet-18 on STL-10, by
# default with STL-10's own classes; --task pets for Pets (4.2.2, B.3, Table 3).
#   tools/dist_train.sh \
#       configs/bissl/bissl-simclr_r18_8xb128-20x8-500t_stl10-96px.py 8
# It weighs the second upper term by gamma = 0.01, averages the products of the first
# five lower batches (K), and moves theta_D a tenth of the way toward theta_P (alpha)
# every 100 alternations (N_a).
_base_ = [
    '../_base_/tasks/{{$BISSL_TASK:stl10}}.py',
    '../_base_/networks/r18_96px.py',
    '../_base_/schedules/bissl_r50_500t.py',
    '../_base_/bissl_runtime.py',
    '../_base_/pretext/simclr_r18_stl10-96px.py',
]
# Stock tools take BISSL_TASK without a look at the network.
assert _base_.network.name in _base_.networks, f'The task is for {_base_.networks}.'

# Dense tasks bring their own backbone.
if 'backbone' not in _base_.downstream:
    _base_.downstream.update(backbone=_base_.network.backbone, neck=_base_.network.neck)
    _base_.downstream.head.in_channels = _base_.network.channels
model = dict(
    pretrained='work_dirs/simclr_r18_8xb128-500e_stl10-96px/epoch_500.pth',
    type='BiSSLModel',
    pretext=_base_.pretext_model,
    downstream=_base_.downstream,
    backbone_map=_base_.backbone_map,
    sync_norms=True,
)
train_cfg = dict(
    pretext_dataloader=_base_.pretext_dataloader,
    head_warmup=_base_.head_warmup,
    backbone_adaptation=dict(interval=100, alpha=0.1),
)
optim_wrapper = dict(
    direct_weight=0.01,
    hypergradient=dict(batches='first', num_batches=5),
    # Its pretraining's rate (4.2.1); Table 3.
    lower=dict(optimizer=dict(lr=4.8)),
    upper=dict(optimizer=_base_.upper.first_version),
)
