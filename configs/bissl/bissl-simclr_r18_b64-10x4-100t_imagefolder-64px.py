# Stages 2 and 3 on your own folders of unlabeled and of labeled images:
#   export BISSL_PRETEXT_DIR=path/to/images
#   export BISSL_DOWNSTREAM_DIR=path/with/train/and/val BISSL_NUM_CLASSES=17
#   python tools/train.py \
#       configs/bissl/bissl-simclr_r18_b64-10x4-100t_imagefolder-64px.py
# It starts from the pretraining of the config beside it, or from any ResNet-18
# checkpoint of mmpretrain or torchvision:
#   --cfg-options model.pretrained=path/to/checkpoint.pth
# With the paper's solver:
#   --cfg-options optim_wrapper.hypergradient.damping=10 \
#       optim_wrapper.hypergradient.solver.type=LayerwiseCGSolver \
#       optim_wrapper.hypergradient.check_residual=random
_base_ = [
    '../_base_/tasks/{{$BISSL_TASK:imagefolder-64px}}.py',
    '../_base_/networks/r18_64px.py',
    '../_base_/schedules/bissl_r18_100t.py',
    '../_base_/bissl_runtime.py',
    '../_base_/pretext/simclr_r18_imagefolder-64px.py',
]
# Stock tools take BISSL_TASK without a look at the network.
assert _base_.network.name in _base_.networks, f'The task is for {_base_.networks}.'

# Dense tasks bring their own backbone.
if 'backbone' not in _base_.downstream:
    _base_.downstream.update(backbone=_base_.network.backbone, neck=_base_.network.neck)
    _base_.downstream.head.in_channels = _base_.network.channels
model = dict(
    pretrained='work_dirs/simclr_r18_b64-100e_imagefolder-64px/epoch_100.pth',
    type='BiSSLModel',
    pretext=_base_.pretext_model,
    downstream=_base_.downstream,
    backbone_map=_base_.backbone_map,
)
train_cfg = dict(
    pretext_dataloader=_base_.pretext_dataloader, head_warmup=_base_.head_warmup
)
