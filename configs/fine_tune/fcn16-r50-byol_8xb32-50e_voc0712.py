# Stage 4 of the paper, the baseline arm after BYOL: the same but for the
# checkpoint.
#   tools/dist_train.sh \
#       configs/fine_tune/fcn16-r50-byol_8xb32-50e_voc0712.py 8
_base_ = 'fcn16-r50-simclr_8xb32-50e_voc0712.py'

init_cfg = dict(checkpoint='work_dirs/byol_r50_8xb128-500e_in1k-96px/epoch_500.pth')
model = dict(backbone=dict(init_cfg=init_cfg))
