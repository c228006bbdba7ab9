# A short bilevel stage for two cores: the paper's clipping; fewer alternations and
# steps, smaller batches. v itself stands for the answer of a solver: the paper's does
# not solve its system on networks that are still learning (benchmarks/README.md), and
# no gain of a solved one was seen (benchmarks/evidence). lambda is 0.08 instead of
# 0.001: times the learning rates of all lower steps, 63 instead of 5,000, it is the
# paper's 5, so theta_P follows theta_D as far.
_base_ = 'bissl_r50_500t.py'

train_cfg = dict(num_alternations=100, num_lower_steps=10, num_upper_steps=4)
optim_wrapper = dict(
    regularizer=dict(weight=0.08),
    hypergradient=dict(
        _delete_=True,
        damping=0.0,
        solver=dict(type='IdentitySolver'),
        check_residual='never',
    ),
    # Twice the paper's 1.0 at a batch of 1024, scaled to 64.
    lower=dict(optimizer=dict(lr=0.125)),
    upper=dict(optimizer=dict(lr=0.01)),
)
param_scheduler = dict(
    lower=[dict(_base_.warmup, end=100), dict(_base_.cosine, begin=100)]
)
