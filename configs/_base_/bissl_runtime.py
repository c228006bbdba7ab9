# Everything of the bilevel stage that is neither model, data nor schedule.
custom_imports = dict(
    imports=['bissl_mm.models', 'bissl_mm.datasets', 'bissl_mm.engine']
)
default_scope = 'bissl_mm'

default_hooks = dict(
    logger=dict(type='LoggerHook', interval=1, log_metric_by_epoch=False),
    # The loop steps the schedules of each level.
    param_scheduler=None,
    sampler_seed=None,
    checkpoint=dict(type='BiSSLCheckpointHook', interval=50, max_keep_ckpts=3),
)
custom_hooks = [
    dict(type='SolverMonitorHook'),
    dict(type='ExportBackboneHook'),
    dict(type='RegimeHook'),
    dict(type='TransferHook', interval=10),
]
# One alternation is one iteration; a window of one keeps its own means.
log_processor = dict(by_epoch=False, window_size=1)
env_cfg = dict(
    cudnn_benchmark=False,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'),
)
visualizer = dict(type='Visualizer', vis_backends=[dict(type='LocalVisBackend')])
log_level = 'INFO'
load_from = None
resume = False
model_wrapper_cfg = dict(type='bissl_mm.PlainDistributedModel')
# Without a fixed seed a resumed run would draw other samples.
randomness = dict(seed=0)
