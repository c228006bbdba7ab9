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
#       configs/bissl/bissl-simclr_r18_b64-10x4-100t_imagefolder.py \
#       --cfg-options model.pretrained=$HEAD
_base_ = [
    '../_base_/lower/simclr_r18_imagefolder-64px.py',
    '../_base_/stock_runtime.py',
]
custom_imports = dict(imports=['bissl_mm.models', 'bissl_mm.engine'])

# All four stages and the stem: neither weights nor running statistics change.
model = _base_.pretext_model
model.backbone.update(
    frozen_stages=4,
    init_cfg=dict(
        type='Pretrained', checkpoint='work_dirs/r18_public.pth', prefix='backbone.'
    ),
)
train_dataloader = _base_.pretext_dataloader
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=20)
# As in the pretraining beside it.
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(
        type='bissl_mm.LARS', lr=0.3, momentum=0.9, weight_decay=1e-6, eta=0.001
    ),
)
param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=1e-4,
        by_epoch=True,
        begin=0,
        end=2,
        convert_to_iter_based=True,
    ),
    dict(
        type='CosineAnnealingLR',
        eta_min_ratio=0.001,
        by_epoch=True,
        begin=2,
        end=20,
        convert_to_iter_based=True,
    ),
]
