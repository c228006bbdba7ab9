# A projection head for public ResNet-18 weights on your own folder of
# unlabeled images; the backbone stays as it is (C.6 of the paper, small).
#   export BISSL_PRETEXT_DIR=path/to/images
#   python tools/convert_checkpoint.py resnet18.pth \
#       work_dirs/r18_public.pth \
#       --config configs/pretext/simclr_r18_head_b64-20e_imagefolder-64px.py
#   python tools/train.py \
#       configs/pretext/simclr_r18_head_b64-20e_imagefolder-64px.py
# The bilevel stage takes its checkpoint:
#   HEAD=work_dirs/simclr_r18_head_b64-20e_imagefolder-64px/epoch_20.pth
#   python tools/train.py \
#       configs/bissl/bissl-simclr_r18_b64-10x4-100t_imagefolder-64px.py \
#       --cfg-options model.pretrained=$HEAD
_base_ = [
    '../_base_/schedules/pretext_lars.py',
    '../_base_/package.py',
    '../_base_/stock_runtime.py',
    '../_base_/pretext/simclr_r18_imagefolder-64px.py',
]

# All four stages and the stem: neither weights nor running statistics change.
model = _base_.pretext_model
model.backbone.update(
    frozen_stages=4,
    init_cfg=dict(
        type='Pretrained', checkpoint='work_dirs/r18_public.pth', prefix='backbone.'
    ),
)
train_dataloader = _base_.pretext_dataloader
train_cfg = dict(max_epochs=20)
# As in the pretraining beside it.
optim_wrapper = dict(optimizer=dict(lr=0.3))
param_scheduler = [dict(_base_.warmup, end=2), dict(_base_.cosine, begin=2, end=20)]
