# The paper's solver and damping in a stage of ten alternations, for
# benchmarks/README.md. So short a stage hardly moves theta_P, and says so.
_base_ = [
    '../_base_/schedules/paper_r18_10t.py',
    'bissl-mae_vit-t8_b64-10x4-30t_cifar10-48px.py',
]
globals().update(_base_.paper)
optim_wrapper = dict(
    _base_.paper.optim_wrapper,
    # MAE is smooth throughout. A product is one gradient then, and keeps no graph.
    hypergradient=dict(
        _base_.paper.optim_wrapper.hypergradient, curvature='differences'
    ),
    lower=dict(optimizer=dict(lr=1e-4)),
    upper=dict(_base_.paper.optim_wrapper.upper, clip_grad=dict(max_norm=10.0)),
)
warmup, decay = _base_.param_scheduler.lower
param_scheduler = dict(lower=[dict(warmup, end=10), dict(decay, begin=10)])
