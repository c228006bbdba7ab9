# The same in small, with a vocabulary of your text, for two cores:
#   python tools/train.py configs/text/bissl-gpt_b16-5x2-10t_small.py
_base_ = ['./bissl-gpt_b64-20x4-200t_books-glue.py', '../_base_/text/gpt_small.py']

model = dict(
    pretrained='work_dirs/gpt_b16-3e_small/epoch_3.pth',
    pretext=dict(backbone=_base_.small),
    downstream=dict(backbone=_base_.small),
)
train_dataloader = _base_.short
val_dataloader = _base_.short_test
test_dataloader = _base_.short_test
train_cfg = dict(
    pretext_dataloader=_base_.short,
    num_alternations=10,
    num_lower_steps=5,
    num_upper_steps=2,
)
# A network this small learns faster.
optim_wrapper = dict(
    lower=dict(optimizer=dict(lr=1e-3)), upper=dict(optimizer=dict(lr=1e-3))
)
param_scheduler = dict(
    lower=[dict(_base_.warmup, end=10), dict(_base_.cosine, begin=10)],
    upper=[dict(_base_.cosine, begin=0)],
)
