# Stage 4, the BiSSL arm: the same but for the checkpoint.
#   python tools/train.py configs/fine_tune/fcn16-r18-bissl-simclr_b16-8e_camvid.py
_base_ = 'fcn16-r18-simclr_b16-8e_camvid.py'

init_cfg = dict(
    checkpoint='work_dirs/'
    'bissl-simclr_r18_b64-10x4-10t_cifar10-camvid-fcn16/backbone.pth'
)
model = dict(backbone=dict(init_cfg=init_cfg))
