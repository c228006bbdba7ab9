# Stages 2 and 3 of the thesis's chapter 7: GPT with 117 million weights, BooksCorpus,
# by default with RTE; --task cola, sst2, qnli, mrpc, qqp or stsb for the others. The
# pretraining may be replaced by the public weights (docs/text.md):
#   python tools/train.py configs/text/bissl-gpt_b64-20x4-200t_books-glue.py \
#       --cfg-options model.pretrained=data/gpt/pytorch_model.bin
_base_ = [
    '../_base_/glue/{{$BISSL_TASK:rte}}.py',
    '../_base_/text/gpt.py',
    '../_base_/bissl_runtime.py',
]

custom_imports = dict(imports=['bissl_mm.models', 'bissl_mm.engine', 'bissl_mm.text'])

model = dict(
    type='BiSSLModel',
    pretrained='work_dirs/gpt_b64-100e_books/epoch_100.pth',
    pretext=_base_.pretext_model,
    downstream=dict(_base_.downstream, backbone=_base_.gpt),
)
train_cfg = dict(
    type='BiSSLTrainLoop',
    pretext_dataloader=_base_.pretext_dataloader,
    num_alternations=200,
    num_lower_steps=20,
    num_upper_steps=4,
    head_warmup=_base_.head_warmup,
    val_interval=10,
)
# Learning rate and weight decay of the upper level are of the middle of the thesis's
# grid; it takes the best of fine-tuning, and does not print them.
optim_wrapper = dict(
    type='BiSSLOptimWrapper',
    constructor='BiSSLOptimWrapperConstructor',
    regularizer=dict(type='SquaredDistance', weight=0.1),
    hypergradient=dict(
        damping=10.0, solver=dict(type='LayerwiseCGSolver', max_iters=5)
    ),
    lower=dict(
        optimizer=dict(type='Adam', lr=5e-6, weight_decay=0.01),
        paramwise_cfg=_base_.no_decay,
        clip_grad=dict(max_norm=10.0),
    ),
    upper=dict(
        optimizer=dict(type='Adam', lr=1.39e-5, weight_decay=0.001),
        paramwise_cfg=_base_.no_decay,
        clip_grad=dict(max_norm=10.0),
    ),
)
# In steps of the level: 2000 steps of warm-up as in the pretraining, of 4000; of the
# upper level 0.2% of its 800.
warmup = dict(type='LinearLR', start_factor=1e-4, by_epoch=False, begin=0)
cosine = dict(type='CosineAnnealingLR', eta_min=0.0, by_epoch=False)
param_scheduler = dict(
    lower=[dict(warmup, end=2000), dict(cosine, begin=2000)],
    upper=[dict(warmup, end=2), dict(cosine, begin=2)],
)
