# The thrifty structure: T = 200, N_L = 5 and N_U = 4 instead of 500, 20 and 8, some
# tenth of the stage's cost (benchmarks/README.md). On Pets the thesis found each of
# the three alone as good as the paper's (figures 6.2 to 6.4); it did not try them
# together. theta_P follows theta_D less, with a tenth of the lower steps at the same
# lambda: tools/recommend_start.py says how far.
#   tools/dist_train.sh \
#       configs/bissl/bissl-simclr_r50_8xb128-5x4-200t_in1k-96px_thrifty.py 8
_base_ = 'bissl-simclr_r50_8xb128-20x8-500t_in1k-96px.py'

train_cfg = dict(num_alternations=200, num_lower_steps=5, num_upper_steps=4)
# Warm-up over 10 * N_L lower steps.
param_scheduler = dict(
    lower=[dict(_base_.warmup, end=50), dict(_base_.cosine, begin=50)]
)
