# Stages 2 and 3 on your own folders of unlabeled and of labeled images:
#   export BISSL_PRETEXT_DIR=path/to/images
#   export BISSL_DOWNSTREAM_DIR=path/with/train/and/val BISSL_NUM_CLASSES=17
#   python tools/train.py \
#       configs/bissl/bissl-simclr_r18_b64-10x4-100t_imagefolder.py
# It starts from the pretraining of the config beside it, or from any ResNet-18
# checkpoint of mmpretrain or torchvision:
#   --cfg-options model.pretrained=path/to/checkpoint.pth
_base_ = [
    '../_base_/lower/simclr_r18_imagefolder-64px.py',
    '../_base_/upper/classification_r18_imagefolder-64px.py',
    '../_base_/schedules/bissl_r18_100t.py',
    '../_base_/bissl_runtime.py',
]

model = dict(
    _delete_=True,
    type='BiSSLModel',
    pretrained='work_dirs/simclr_r18_b64-100e_imagefolder-64px/epoch_100.pth',
    pretext=_base_.pretext_model,
    downstream=_base_.model,
)
train_cfg = dict(pretext_dataloader=_base_.pretext_dataloader)
