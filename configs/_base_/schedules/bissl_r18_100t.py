# A short bilevel stage for two cores: the paper's lambda, damping, solver and
# clipping; fewer alternations and steps, smaller batches.
_base_ = 'bissl_r50_500t.py'

train_cfg = dict(num_alternations=100, num_lower_steps=10, num_upper_steps=4)
optim_wrapper = dict(
    # The paper's 1.0 at a batch of 1024, scaled to 128.
    lower=dict(optimizer=dict(lr=0.125)),
    upper=dict(optimizer=dict(lr=0.01)),
)
param_scheduler = dict(
    lower=[dict(_base_.warmup, end=100), dict(_base_.cosine, begin=100)]
)
