# The thrifty structure, see bissl-simclr_r50_8xb128-5x4-200t_in1k-96px_thrifty.py.
#   tools/dist_train.sh \
#       configs/bissl/bissl-mae_vit-s8_8xb128-5x4-200t_in1k-96px_thrifty.py 8
_base_ = 'bissl-mae_vit-s8_8xb128-20x8-500t_in1k-96px.py'

train_cfg = dict(num_alternations=200, num_lower_steps=5, num_upper_steps=4)
# Warm-up over 10 * N_L lower steps.
param_scheduler = dict(
    lower=[dict(_base_.warmup, end=50), dict(_base_.cosine, begin=50)]
)
