# Stage 4 of the paper, the BiSSL arm: the same but for the checkpoint.
#   tools/dist_train.sh \
#       configs/fine_tune/fcn16-r50-bissl-simclr_8xb32-50e_cityscapes.py 8
_base_ = 'fcn16-r50-simclr_8xb32-50e_cityscapes.py'

init_cfg = dict(
    checkpoint='work_dirs/'
    'bissl-simclr_r50_8xb128-20x8-500t_in1k-cityscapes-fcn16/backbone.pth'
)
model = dict(backbone=dict(init_cfg=init_cfg))
