"""Hooks of the bilevel stage."""

from .channels_last_hook import ChannelsLastHook
from .checkpoint_hook import BiSSLCheckpointHook
from .data_distance_hook import DataDistanceHook
from .export_backbone_hook import ExportBackboneHook
from .newest_checkpoint import find_checkpoints
from .progress_bar_hook import ProgressBarHook
from .regime_hook import RegimeHook
from .solver_monitor_hook import SolverMonitorHook
from .transfer_hook import TransferHook

__all__ = [
    'BiSSLCheckpointHook',
    'ChannelsLastHook',
    'DataDistanceHook',
    'ExportBackboneHook',
    'ProgressBarHook',
    'RegimeHook',
    'SolverMonitorHook',
    'TransferHook',
    'find_checkpoints',
]
