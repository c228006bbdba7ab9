# MAE pretraining of a small ViT at 32 px on your own folder of unlabeled images.
#   export BISSL_PRETEXT_DIR=path/to/images
#   python tools/train.py configs/pretext/mae_vit-p4_b256-60e_imagefolder-32px.py
_base_ = [
    '../_base_/schedules/pretext_r10_60e.py',
    '../_base_/package.py',
    '../_base_/stock_runtime.py',
    '../_base_/pretext/mae_vit-p4_imagefolder-32px.py',
]

model = _base_.pretext_model
train_dataloader = dict(_base_.pretext_dataloader, batch_size=256)
optim_wrapper = dict(
    optimizer=dict(_delete_=True, lr=1.5e-3, **_base_.adamw),
    paramwise_cfg=_base_.pretext_paramwise_cfg,
)
