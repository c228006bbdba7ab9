# What the tasks of GLUE share (thesis, 7.1): loaders, model, search. The classes and
# the metric, the task says.
# The batch of 32 is that of the GPT paper, which the thesis quotes; it states none of
# its own.
sentences = dict(
    type='bissl_mm.GLUEDataset',
    data_root='{{$BISSL_DATA_DIR:data}}/glue',
    tokenizer='{{$BISSL_DATA_DIR:data}}/books',
    context=512,
)
loader = dict(num_workers=2, sampler=dict(type='DefaultSampler', shuffle=False))
train_dataloader = dict(
    total_batch_size=32,
    num_workers=2,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=sentences,
)
val_dataloader = dict(loader, batch_size=32, dataset=dict(sentences, split='val'))
test_dataloader = dict(loader, batch_size=32, dataset=dict(sentences, split='test'))
val_evaluator = dict(type='bissl_mm.GLUEMetric')
test_evaluator = dict(type='bissl_mm.GLUEMetric')
val_cfg = dict()
test_cfg = dict()

downstream = dict(
    type='bissl_mm.GPTClassifier',
    head=dict(type='bissl_mm.GPTHead', num_classes=2, new_tokens=3),
    lm_weight=0.5,
)
# Passes over the data: a half, of the large sets a tenth (7.1.3).
head_warmup = dict(num_epochs=0.5)
# The full grid of 8 learning rates and 4 weight decays, then 10 seeds (7.1.2).
# The learning rate of fine-tuning rises in 0.2% of its steps (7.1.2), at least one.
fine_tune = dict(
    search=dict(
        settings=32,
        grid=(8, 4),
        seeds=10,
        lr=(1e-6, 1e-4),
        weight_decay=(1e-5, 1e-2),
        metric='glue/accuracy',
        found=None,
    ),
    warmup=1,
)
