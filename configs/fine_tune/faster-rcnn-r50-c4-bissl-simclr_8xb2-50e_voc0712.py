# Stage 4 of the paper, the BiSSL arm: the same but for the checkpoint.
#   tools/dist_train.sh \
#       configs/fine_tune/faster-rcnn-r50-c4-bissl-simclr_8xb2-50e_voc0712.py 8
_base_ = 'faster-rcnn-r50-c4-simclr_8xb2-50e_voc0712.py'

init_cfg = dict(
    checkpoint='work_dirs/'
    'bissl-simclr_r50_8xb128-20x8-500t_in1k-voc0712-c4/backbone.pth'
)
model = dict(
    backbone=dict(init_cfg=init_cfg), roi_head=dict(shared_head=dict(init_cfg=init_cfg))
)
