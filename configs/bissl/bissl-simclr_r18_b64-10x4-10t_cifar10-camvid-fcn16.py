# Stages 2 and 3 on two cores: SimCLR on unlabeled CIFAR-10 images with
# segmentation of CamVid by FCN-16.
#   python tools/train.py \
#       configs/bissl/bissl-simclr_r18_b64-10x4-10t_cifar10-camvid-fcn16.py
_base_ = [
    '../_base_/lower/simclr_r18_cifar10-48px.py',
    '../_base_/upper/fcn16_r18_camvid-96px.py',
    '../_base_/schedules/bissl_r18_10t.py',
    '../_base_/bissl_runtime.py',
]

model = dict(
    _delete_=True,
    type='BiSSLModel',
    pretrained='work_dirs/simclr_r18_b256-20e_cifar10-48px/epoch_20.pth',
    pretext=_base_.pretext_model,
    downstream=_base_.model,
)
# Five warm-up passes for dense tasks (B.7).
train_cfg = dict(
    pretext_dataloader=_base_.pretext_dataloader, head_warmup=dict(num_epochs=5)
)
