# Stage 4, the BiSSL arm: the same but for the checkpoint.
#   python tools/train.py configs/fine_tune/retinanet-r18-bissl-simclr_b8-20e_bccd.py
_base_ = 'retinanet-r18-simclr_b8-20e_bccd.py'

init_cfg = dict(
    checkpoint='work_dirs/'
    'bissl-simclr_r18_b64-10x4-10t_cifar10-bccd-retinanet/backbone.pth'
)
model = dict(backbone=dict(init_cfg=init_cfg))
