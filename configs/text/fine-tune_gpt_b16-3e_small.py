# The same in small, with a vocabulary of your text, for two cores:
#   python tools/train.py configs/text/fine-tune_gpt_b16-3e_small.py --task rte
_base_ = ['./fine-tune_gpt_b32-3e_glue.py', '../_base_/text/gpt_small.py']

checkpoint = '{{$BISSL_CHECKPOINT:work_dirs/gpt_b16-3e_small/epoch_3.pth}}'
model = dict(backbone=dict(_base_.small, init_cfg=dict(checkpoint=checkpoint)))
train_dataloader = _base_.short
val_dataloader = _base_.short_test
test_dataloader = _base_.short_test
train_cfg = dict(evaluations_per_epoch=2)
# A network this small learns faster.
optim_wrapper = dict(optimizer=dict(lr=1e-3))
search = dict(settings=4, seeds=3, lr=(1e-4, 1e-2))
