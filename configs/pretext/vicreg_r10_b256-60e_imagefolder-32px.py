# VICReg pretraining of a small ResNet at 32 px on your own folder of unlabeled
# images.
#   export BISSL_PRETEXT_DIR=path/to/images
#   python tools/train.py configs/pretext/vicreg_r10_b256-60e_imagefolder-32px.py
_base_ = [
    '../_base_/schedules/pretext_r10_60e.py',
    '../_base_/package.py',
    '../_base_/stock_runtime.py',
    '../_base_/pretext/vicreg_r10_imagefolder-32px.py',
]

model = _base_.pretext_model
train_dataloader = dict(_base_.pretext_dataloader, batch_size=256)
custom_hooks = [dict(type='bissl_mm.ChannelsLastHook')]
