# Stages 2 and 3 on two cores: SimCLR on unlabeled CIFAR-10 images with
# detection of blood cells by RetinaNet.
#   python tools/train.py \
#       configs/bissl/bissl-simclr_r18_b64-10x4-10t_cifar10-bccd-retinanet.py
_base_ = [
    '../_base_/lower/simclr_r18_cifar10-48px.py',
    '../_base_/upper/retinanet_r18-fpn_bccd-160px.py',
    '../_base_/schedules/bissl_r18_10t.py',
    '../_base_/bissl_runtime.py',
]

# The detector freezes the stem and the first stage, the pretext model does
# not: here both are trained in both. 'fix' would leave them as pretrained.
model = dict(
    _delete_=True,
    type='BiSSLModel',
    pretrained='work_dirs/simclr_r18_b256-20e_cifar10-48px/epoch_20.pth',
    pretext=_base_.pretext_model,
    downstream=_base_.model,
    backbone_map=dict(frozen='train'),
)
# Five warm-up passes for dense tasks (B.7).
train_cfg = dict(
    pretext_dataloader=_base_.pretext_dataloader, head_warmup=dict(num_epochs=5)
)
