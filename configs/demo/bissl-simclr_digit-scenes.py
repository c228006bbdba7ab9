# Stages 2 and 3 of the demos of detection and, with --task
# digit-scenes-segmentation, of segmentation.
_base_ = [
    '../_base_/pretext/simclr_digits.py',
    '../_base_/tasks/{{$BISSL_TASK:digit-scenes-detection}}.py',
    '../_base_/schedules/bissl_demo.py',
    '../_base_/bissl_runtime.py',
]
network = dict(name='digits')

model = dict(
    type='BiSSLModel',
    pretrained=f'{_base_.demo}/pretext/epoch_60.pth',
    pretext=_base_.pretext_model,
    downstream=_base_.downstream,
)
train_cfg = dict(
    num_alternations=12,
    val_interval=4,
    pretext_dataloader=_base_.pretext_dataloader,
    head_warmup=dict(num_epochs=5),
)
default_hooks = dict(checkpoint=dict(interval=2, max_keep_ckpts=1))
