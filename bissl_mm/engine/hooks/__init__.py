"""Hooks of the bilevel stage."""

from .checkpoint_hook import BiSSLCheckpointHook, find_checkpoints
from .export_backbone_hook import ExportBackboneHook
from .progress_bar_hook import ProgressBarHook
from .solver_monitor_hook import SolverMonitorHook

__all__ = [
    'BiSSLCheckpointHook', 'ExportBackboneHook', 'ProgressBarHook',
    'SolverMonitorHook', 'find_checkpoints'
]
