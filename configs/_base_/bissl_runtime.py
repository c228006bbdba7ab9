# Everything of the bilevel stage that is neither model, data nor schedule.
_base_ = 'runtime.py'

custom_imports = dict(
    imports=['bissl_mm.models', 'bissl_mm.datasets', 'bissl_mm.engine']
)
default_scope = 'bissl_mm'

default_hooks = dict(
    logger=dict(type='LoggerHook', interval=1, log_metric_by_epoch=False),
    # The loop steps the schedules of each level.
    param_scheduler=None,
    sampler_seed=None,
    checkpoint=dict(type='BiSSLCheckpointHook', interval=10, max_keep_ckpts=3),
)
custom_hooks = [
    dict(type='SolverMonitorHook'),
    dict(type='ExportBackboneHook'),
    dict(type='RegimeHook'),
    dict(type='TransferHook', interval=10),
]
# One alternation is one iteration; a window of one keeps its own means.
log_processor = dict(by_epoch=False, window_size=1)
model_wrapper_cfg = dict(type='bissl_mm.PlainDistributedModel')
