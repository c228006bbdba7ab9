# Stages 2 and 3 of the demo.
_base_ = [
    '../_base_/pretext/simclr_digits.py',
    '../_base_/tasks/digits.py',
    '../_base_/schedules/bissl_demo.py',
    '../_base_/bissl_runtime.py',
]

model = dict(
    type='BiSSLModel',
    pretrained='work_dirs/demo/pretext/epoch_60.pth',
    pretext=_base_.pretext_model,
    downstream=_base_.downstream,
)
train_cfg = dict(pretext_dataloader=_base_.pretext_dataloader)
default_hooks = dict(checkpoint=dict(interval=5, max_keep_ckpts=1))
custom_hooks = [*_base_.custom_hooks, dict(type='DataDistanceHook')]
