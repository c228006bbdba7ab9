"""The training stage: loop, optimizers, hooks, processes."""

from .bissl_loop import BiSSLTrainLoop
from .distributed import (CPUDistributedDataParallel, PlainDistributedModel,
                          mean_over_ranks)
from .hooks import (BiSSLCheckpointHook, ExportBackboneHook, ProgressBarHook,
                    RegimeHook, SolverMonitorHook, TransferHook)
from .lars import LARS
from .optim_constructor import BiSSLOptimWrapperConstructor
from .optim_wrapper import BiSSLOptimWrapper

__all__ = [
    'BiSSLCheckpointHook', 'BiSSLOptimWrapper',
    'BiSSLOptimWrapperConstructor', 'BiSSLTrainLoop',
    'CPUDistributedDataParallel', 'ExportBackboneHook', 'LARS',
    'PlainDistributedModel', 'ProgressBarHook', 'RegimeHook',
    'SolverMonitorHook', 'TransferHook',
    'mean_over_ranks'
]
