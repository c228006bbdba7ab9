# The projection head that public SimCLR weights come without (C.6 of the
# paper): 20 epochs of SimCLR on the frozen backbone, batch 1024, 224 px.
#   python tools/convert_checkpoint.py resnet50-1x.pth \
#       work_dirs/simclr_r50_public.pth \
#       --config configs/pretext/simclr_r50_head_8xb128-20e_in1k-224px.py
#   tools/dist_train.sh \
#       configs/pretext/simclr_r50_head_8xb128-20e_in1k-224px.py 8
# The checkpoint holds backbone and head, which the bilevel stage starts from.
_base_ = [
    '../_base_/schedules/pretext_lars.py',
    '../_base_/package.py',
    '../_base_/stock_runtime.py',
    '../_base_/pretext/simclr_r50_in1k-224px.py',
]

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
train_cfg = dict(max_epochs=20)
# C.6 gives neither optimizer nor schedule: those of the pretraining (4.2.1),
# with its 10 epochs of warm-up, which are half of the run here. The head alone
# has them: the trained backbone is frozen.
param_scheduler = [dict(_base_.warmup, end=10), dict(_base_.cosine, begin=10, end=20)]
