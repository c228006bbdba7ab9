# The same in small, with a vocabulary of your text, for two cores:
#   python tools/prepare_text.py TEXT_FOLDER --out data/books --vocab-size 500
#   python tools/train.py configs/text/gpt_b16-3e_small.py
_base_ = ['./gpt_b64-100e_books.py', '../_base_/text/gpt_small.py']

model = dict(backbone=_base_.small)
train_dataloader = _base_.short
train_cfg = dict(max_epochs=3)
# A network this small starts from nothing and learns faster.
optim_wrapper = dict(optimizer=dict(lr=1e-3))
param_scheduler = [dict(_base_.warmup, end=20), dict(_base_.cosine, end=3)]
