# Stages 2 and 3 of the demo of detection.
_base_ = [
    '../_base_/lower/simclr_digits.py',
    '../_base_/upper/faster-rcnn-fpn_digit-scenes.py',
    '../_base_/schedules/bissl_demo.py',
    '../_base_/bissl_runtime.py',
]

model = dict(
    _delete_=True,
    type='BiSSLModel',
    pretrained='work_dirs/demo-det/pretext/epoch_60.pth',
    pretext=_base_.pretext_model,
    downstream=_base_.model,
)
train_cfg = dict(
    num_alternations=12,
    val_interval=4,
    pretext_dataloader=_base_.pretext_dataloader,
    head_warmup=dict(num_epochs=5),
)
default_hooks = dict(checkpoint=dict(interval=2, max_keep_ckpts=1))
