# A bilevel stage of minutes on two cores: the paper's damping, solver and
# clipping. lambda is 0.1 instead of 0.001: at 100 lower steps instead of 10,000
# a weaker pull would not move theta_P toward theta_D.
_base_ = 'bissl_r50_500t.py'

train_cfg = dict(
    num_alternations=10, num_lower_steps=10, num_upper_steps=4, val_interval=5
)
optim_wrapper = dict(
    regularizer=dict(weight=0.1),
    # The paper's 1.0 at a batch of 1024, scaled to 64.
    lower=dict(optimizer=dict(lr=0.0625)),
    upper=dict(optimizer=dict(lr=0.01)),
)
param_scheduler = dict(
    lower=[dict(_base_.warmup, end=10), dict(_base_.cosine, begin=10)]
)
