# Stage 1 of the thesis's chapter 7: GPT on BooksCorpus (7.1.2). The thesis takes the
# public weights, which are made in this way (docs/text.md).
#   python tools/prepare_text.py books/ --out data/books --tokenizer FOLDER
#   python tools/train.py configs/text/gpt_b64-100e_books.py
_base_ = ['../_base_/text/gpt.py', '../_base_/stock_runtime.py']

custom_imports = dict(imports=['bissl_mm.models', 'bissl_mm.text'])

model = _base_.pretext_model
train_dataloader = dict(
    _base_.pretext_dataloader, sampler=dict(type='DefaultSampler', shuffle=True)
)
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=100)
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='Adam', lr=2.5e-4, weight_decay=0.01),
    paramwise_cfg=_base_.no_decay,
)
# 2000 steps of warm-up, and the cosine over all epochs.
warmup = dict(type='LinearLR', start_factor=1e-4, by_epoch=False, begin=0)
cosine = dict(
    type='CosineAnnealingLR', eta_min=0.0, begin=0, convert_to_iter_based=True
)
param_scheduler = [dict(warmup, end=2000), dict(cosine, end=100)]
