# Stages 2 and 3 of the thesis's chapter 7: GPT with 117 million weights, BooksCorpus,
# by default with RTE; --task cola, sst2, qnli, mrpc, qqp or stsb for the others. The
# tokenizer and the weights of GPT are yours (docs/text.md):
#   python tools/prepare_text.py books/ --out data/books --tokenizer data/gpt
#   export BISSL_TOKENIZER=data/gpt
#   python tools/train.py configs/text/bissl-gpt_b64-20x4-200t_books-glue.py \
#       --cfg-options model.pretrained=data/gpt/pytorch_model.bin
_base_ = ['../_base_/glue/{{$BISSL_TASK:rte}}.py', '../_base_/bissl_runtime.py']

custom_imports = dict(imports=['bissl_mm.models', 'bissl_mm.engine', 'bissl_mm.text'])

gpt = dict(type='GPTBackbone', vocab_size=40478, context=512)
model = dict(
    type='BiSSLModel',
    pretext=dict(type='GPTLanguageModel', backbone=gpt),
    downstream=dict(
        type='GPTClassifier',
        backbone=gpt,
        head=dict(
            type='GPTHead',
            num_classes=_base_.glue.num_classes,
            new_tokens=_base_.glue.new_tokens,
        ),
        lm_weight=0.5,
    ),
)
sentences = dict(
    type='GLUEDataset',
    task=_base_.glue.task,
    data_root='{{$BISSL_GLUE_DIR:data/glue}}',
    tokenizer='{{$BISSL_TOKENIZER:data/books/tokenizer.json}}',
    context=512,
)
train_dataloader = dict(batch_size=32, num_workers=2, dataset=sentences)
val_dataloader = dict(
    batch_size=32,
    num_workers=2,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(sentences, split='val'),
)
test_dataloader = dict(val_dataloader, dataset=dict(sentences, split='test'))
val_evaluator = dict(type='GLUEMetric', task=_base_.glue.task)
test_evaluator = val_evaluator
val_cfg = dict()
test_cfg = dict()

# The thesis warms the head up for a half or a tenth of an epoch; here passes are
# whole.
train_cfg = dict(
    type='BiSSLTrainLoop',
    pretext_dataloader=dict(
        batch_size=64,
        num_workers=2,
        dataset=dict(
            type='TextChunks',
            data_root='{{$BISSL_PRETEXT_DIR:data/books}}',
            context=512,
        ),
    ),
    num_alternations=200,
    num_lower_steps=20,
    num_upper_steps=4,
    head_warmup=dict(num_epochs=1),
    val_interval=10,
)
# Biases and scales of norms have no weight decay, as in the pretraining. Learning
# rate and weight decay of the upper level are of the middle of the thesis's grid; it
# takes the best of fine-tuning, and does not print them.
no_decay = dict(norm_decay_mult=0.0, bias_decay_mult=0.0)
optim_wrapper = dict(
    type='BiSSLOptimWrapper',
    constructor='BiSSLOptimWrapperConstructor',
    regularizer=dict(type='SquaredDistance', weight=0.1),
    hypergradient=dict(
        damping=10.0, solver=dict(type='LayerwiseCGSolver', max_iters=5)
    ),
    lower=dict(
        optimizer=dict(type='Adam', lr=5e-6, weight_decay=0.01),
        paramwise_cfg=no_decay,
        clip_grad=dict(max_norm=10.0),
    ),
    upper=dict(
        optimizer=dict(type='Adam', lr=1.39e-5, weight_decay=0.001),
        paramwise_cfg=no_decay,
        clip_grad=dict(max_norm=10.0),
    ),
)
# As in every bilevel stage, but for the hook that probes features of images.
custom_hooks = [
    dict(type='SolverMonitorHook'),
    dict(type='ExportBackboneHook'),
    dict(type='RegimeHook'),
]
# In steps of the level: 2000 steps of warm-up as in the pretraining, of 4000; of the
# upper level 0.2% of its 800.
warmup = dict(type='LinearLR', start_factor=1e-4, by_epoch=False, begin=0)
cosine = dict(type='CosineAnnealingLR', eta_min=0.0, by_epoch=False)
param_scheduler = dict(
    lower=[dict(warmup, end=2000), dict(cosine, begin=2000)],
    upper=[dict(warmup, end=2), dict(cosine, begin=2)],
)
