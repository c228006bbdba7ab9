# Stages 2 and 3 with BYOL and a small ResNet at 32 px on your own folders (see the
# SimCLR config of this size).
#   python tools/train.py \
#       configs/bissl/bissl-byol_r10_b128-10x4-30t_imagefolder-32px.py
_base_ = [
    '../_base_/lower/byol_r10_imagefolder-32px.py',
    '../_base_/upper/classification_r10_imagefolder-32px.py',
    '../_base_/schedules/bissl_r10_30t.py',
    '../_base_/bissl_runtime.py',
]

model = dict(
    _delete_=True,
    type='BiSSLModel',
    pretrained='work_dirs/byol_r10_b256-60e_imagefolder-32px/epoch_60.pth',
    pretext=_base_.pretext_model,
    downstream=_base_.model,
)
train_cfg = dict(pretext_dataloader=_base_.pretext_dataloader)
