# The paper's solver and damping in a stage of ten alternations, for
# benchmarks/README.md. So short a stage hardly moves theta_P, and says so.
_base_ = [
    '../_base_/schedules/paper_r18_10t.py',
    'bissl-byol_r18_b64-10x4-30t_cifar10-48px.py',
]
globals().update(_base_.paper)
warmup, decay = _base_.param_scheduler.lower
param_scheduler = dict(lower=[dict(warmup, end=10), dict(decay, begin=10)])
