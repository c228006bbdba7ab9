# Stage 4, the BiSSL arm: the same but for the checkpoint.
#   python tools/train.py configs/fine_tune/deeplabv3-r18-bissl-simclr_b16-20e_camvid.py
_base_ = 'deeplabv3-r18-simclr_b16-20e_camvid.py'

init_cfg = dict(
    checkpoint='work_dirs/'
    'bissl-simclr_r18_b64-10x4-10t_cifar10-camvid-deeplabv3/backbone.pth'
)
model = dict(backbone=dict(init_cfg=init_cfg))
