# The same in small, with a vocabulary of your text, for two cores:
#   python tools/prepare_text.py TEXT_FOLDER --out data/books --vocab-size 500
#   python tools/train.py configs/text/bissl-gpt_b16-5x2-10t_small.py
_base_ = './bissl-gpt_b64-20x4-200t_books-glue.py'

gpt = dict(vocab_size=500, context=64, embed_dims=32, num_layers=2, num_heads=2)
model = dict(pretext=dict(backbone=gpt), downstream=dict(backbone=gpt))
short = dict(batch_size=8, num_workers=0, dataset=dict(context=64))
train_dataloader = short
val_dataloader = short
test_dataloader = short
train_cfg = dict(
    pretext_dataloader=dict(batch_size=16, num_workers=0, dataset=dict(context=64)),
    num_alternations=10,
    num_lower_steps=5,
    num_upper_steps=2,
)
# A network this small starts from nothing and learns faster.
optim_wrapper = dict(
    lower=dict(optimizer=dict(lr=1e-3)), upper=dict(optimizer=dict(lr=1e-3))
)
param_scheduler = dict(
    lower=[dict(_base_.warmup, end=10), dict(_base_.cosine, begin=10)],
    upper=[dict(_base_.cosine, begin=0)],
)
