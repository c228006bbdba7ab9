# Stage 4 of the thesis's chapter 7: fine-tuning of GPT, by default on RTE, from the
# pretraining (FT) or from the bilevel stage (BiSSL+FT):
#   python tools/train.py configs/text/fine-tune_gpt_b32-3e_glue.py --task rte
#   STAGE=work_dirs/bissl-gpt_b64-20x4-200t_books-glue_rte
#   export BISSL_CHECKPOINT=$STAGE/backbone.pth
#   python tools/train.py configs/text/fine-tune_gpt_b32-3e_glue.py --task rte
# Learning rate and weight decay are of the middle of the thesis's grid;
# tools/compare_arms.py searches it for each arm.
_base_ = [
    '../_base_/glue/{{$BISSL_TASK:rte}}.py',
    '../_base_/text/gpt.py',
    '../_base_/stock_runtime.py',
]

custom_imports = dict(imports=['bissl_mm.models', 'bissl_mm.engine', 'bissl_mm.text'])

checkpoint = '{{$BISSL_CHECKPOINT:work_dirs/gpt_b64-100e_books/epoch_100.pth}}'
init_cfg = dict(type='Pretrained', checkpoint=checkpoint, prefix='backbone.')
model = dict(_base_.downstream, backbone=dict(_base_.gpt, init_cfg=init_cfg))
# Three epochs as in the GPT paper, which the thesis quotes; ten evaluations in each.
train_cfg = dict(
    type='bissl_mm.EvaluatingTrainLoop', max_epochs=3, evaluations_per_epoch=10
)
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='Adam', lr=1.39e-5, weight_decay=0.001),
    paramwise_cfg=_base_.no_decay,
)
warmup = dict(type='LinearLR', start_factor=1e-4, by_epoch=False, begin=0)
cosine = dict(
    type='CosineAnnealingLR', eta_min=0.0, begin=0, convert_to_iter_based=True
)
param_scheduler = [dict(warmup, end=_base_.fine_tune.warmup), dict(cosine, end=3)]
search = _base_.fine_tune.search
default_hooks = dict(
    checkpoint=dict(
        interval=1, max_keep_ckpts=1, save_best=search.metric, rule='greater'
    )
)
