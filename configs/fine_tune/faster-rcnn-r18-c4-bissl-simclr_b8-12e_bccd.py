# Stage 4, the BiSSL arm: the same but for the checkpoint.
#   python tools/train.py configs/fine_tune/faster-rcnn-r18-c4-bissl-simclr_b8-12e_bccd.py
_base_ = 'faster-rcnn-r18-c4-simclr_b8-12e_bccd.py'

init_cfg = dict(
    checkpoint='work_dirs/bissl-simclr_r18_b64-10x4-10t_cifar10-bccd-c4/backbone.pth'
)
model = dict(
    backbone=dict(init_cfg=init_cfg), roi_head=dict(shared_head=dict(init_cfg=init_cfg))
)
