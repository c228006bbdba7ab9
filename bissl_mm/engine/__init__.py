"""The training stage: loop, optimizers, hooks, processes."""

from .distributed import (
    CPUDistributedDataParallel,
    PlainDistributedModel,
    mean_over_ranks,
)
from .hooks import (
    BiSSLCheckpointHook,
    ChannelsLastHook,
    DataDistanceHook,
    ExportBackboneHook,
    ProgressBarHook,
    RegimeHook,
    SolverMonitorHook,
    TransferHook,
)
from .loop.bissl_loop import BiSSLTrainLoop
from .loop.evaluating_loop import EvaluatingTrainLoop
from .steps.lars import LARS
from .steps.optim_constructor import BiSSLOptimWrapperConstructor
from .steps.optim_wrapper import BiSSLOptimWrapper
from .steps.weighted_sum import WeightedSumOptimWrapper

__all__ = [
    'BiSSLCheckpointHook',
    'BiSSLOptimWrapper',
    'BiSSLOptimWrapperConstructor',
    'BiSSLTrainLoop',
    'CPUDistributedDataParallel',
    'ChannelsLastHook',
    'DataDistanceHook',
    'EvaluatingTrainLoop',
    'ExportBackboneHook',
    'LARS',
    'PlainDistributedModel',
    'ProgressBarHook',
    'RegimeHook',
    'SolverMonitorHook',
    'TransferHook',
    'WeightedSumOptimWrapper',
    'mean_over_ranks',
]
