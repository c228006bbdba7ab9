# Stages 2 and 3 on two cores: BYOL on unlabeled CIFAR-10 images with five
# texture classes of DTD.
#   python tools/train.py \
#       configs/bissl/bissl-byol_r18_b64-10x4-10t_cifar10-dtd5.py
_base_ = [
    '../_base_/lower/byol_r18_cifar10-48px.py',
    '../_base_/upper/classification_r18_dtd5-48px.py',
    '../_base_/schedules/bissl_r18_10t.py',
    '../_base_/bissl_runtime.py',
]

model = dict(
    _delete_=True,
    type='BiSSLModel',
    pretrained='work_dirs/byol_r18_b128-6e_cifar10-48px/epoch_6.pth',
    pretext=_base_.pretext_model,
    downstream=_base_.model,
)
train_cfg = dict(pretext_dataloader=_base_.pretext_dataloader)
