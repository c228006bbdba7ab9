# Stages 2 and 3 with a small ResNet on your own unlabeled images and segmentation by a
# small FCN, within some minutes on one core:
#   export BISSL_PRETEXT_DIR=path/to/images
#   export BISSL_DOWNSTREAM_DIR=path/to/the/set BISSL_NUM_CLASSES=3
#   python tools/train.py \
#       configs/bissl/bissl-simclr_r10_b128-10x4-30t_masks-fcn8-128px.py
_base_ = [
    '../_base_/lower/simclr_r10_imagefolder-32px.py',
    '../_base_/upper/fcn8_r10_masks-128px.py',
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
train_cfg = dict(
    pretext_dataloader=_base_.pretext_dataloader, head_warmup=dict(num_epochs=5)
)
