# DINO pretraining of a small ResNet at 32 px on your own folder of unlabeled
# images. A loss that stays at log 1024 = 6.93 says that all images have the same output.
#   export BISSL_PRETEXT_DIR=path/to/images
#   python tools/train.py configs/pretext/dino_r10_b256-60e_imagefolder-32px.py
_base_ = [
    '../_base_/schedules/pretext_r10_60e.py',
    '../_base_/package.py',
    '../_base_/stock_runtime.py',
    '../_base_/pretext/dino_r10_imagefolder-32px.py',
]

model = _base_.pretext_model
train_dataloader = dict(_base_.pretext_dataloader, batch_size=256)
custom_hooks = [dict(type='bissl_mm.ChannelsLastHook')]
