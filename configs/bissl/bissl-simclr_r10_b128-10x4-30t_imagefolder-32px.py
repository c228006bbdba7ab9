# Stages 2 and 3 with a small ResNet at 32 px on your own folders of unlabeled
# and of labeled images, two minutes on one core:
#   export BISSL_PRETEXT_DIR=path/to/images
#   export BISSL_DOWNSTREAM_DIR=path/with/train/and/val BISSL_NUM_CLASSES=17
#   python tools/train.py \
#       configs/bissl/bissl-simclr_r10_b128-10x4-30t_imagefolder-32px.py
_base_ = [
    '../_base_/lower/simclr_r10_imagefolder-32px.py',
    '../_base_/upper/classification_r10_imagefolder-32px.py',
    '../_base_/schedules/bissl_r10_30t.py',
    '../_base_/bissl_runtime.py',
]

model = dict(
    _delete_=True,
    type='BiSSLModel',
    pretrained='work_dirs/simclr_r10_b256-60e_imagefolder-32px/epoch_60.pth',
    pretext=_base_.pretext_model,
    downstream=_base_.model,
)
train_cfg = dict(pretext_dataloader=_base_.pretext_dataloader)
