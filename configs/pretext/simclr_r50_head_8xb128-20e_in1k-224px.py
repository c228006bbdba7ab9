# The projection head that public SimCLR weights come without (C.6 of the
# paper): 20 epochs of SimCLR on the frozen backbone, batch 1024, 224 px.
#   python tools/convert_checkpoint.py resnet50-1x.pth \
#       work_dirs/simclr_r50_public.pth \
#       --config configs/pretext/simclr_r50_head_8xb128-20e_in1k-224px.py
#   tools/dist_train.sh \
#       configs/pretext/simclr_r50_head_8xb128-20e_in1k-224px.py 8
# The checkpoint holds backbone and head, which the bilevel stage starts from.
_base_ = ['../_base_/lower/simclr_r50_in1k-224px.py', '../_base_/stock_runtime.py']
custom_imports = dict(imports=['bissl_mm.models', 'bissl_mm.engine'])

# All four stages and the stem: neither weights nor running statistics change.
model = _base_.pretext_model
model.backbone.update(
    frozen_stages=4,
    init_cfg=dict(
        type='Pretrained',
        checkpoint='work_dirs/simclr_r50_public.pth',
        prefix='backbone.',
    ),
)
train_dataloader = _base_.pretext_dataloader
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=20)

# C.6 gives neither optimizer nor schedule: those of the pretraining (4.2.1),
# with its 10 epochs of warm-up, which are half of the run here. The head alone
# has them: the trained backbone is frozen.
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(
        type='bissl_mm.LARS', lr=4.8, momentum=0.9, weight_decay=1e-6, eta=0.001
    ),
)
param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=1e-4,
        by_epoch=True,
        begin=0,
        end=10,
        convert_to_iter_based=True,
    ),
    dict(
        type='CosineAnnealingLR',
        eta_min_ratio=0.001,
        by_epoch=True,
        begin=10,
        end=20,
        convert_to_iter_based=True,
    ),
]
