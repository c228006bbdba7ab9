"""How long a run takes on this machine: from a few of its steps."""

import argparse
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from copy import deepcopy
from itertools import islice
from typing import Any

import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner

from ...analysis.features import BATCH_SIZE, build_model, fit_statistics
from ...analysis.runs.fine_tune import set_checkpoint
from ...engine.launch import build_runner, load_config, prepare_processes
from ..queue.node import Node
from .own_config import adapt, read_own

#: Steps that are timed, after one that is not.
STEPS = 4


class _Enough(Exception):
    """The steps are made."""


class _Clock(Hook):
    """Notes when each step ended; an alternation is one of the bilevel stage."""

    priority = 'LOWEST'

    def __init__(self, steps: int) -> None:
        self.steps = steps
        self.ends: list[float] = []
        self.begin = 0.0

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch=None
    ) -> None:
        """Note when the first step began."""
        if not self.ends:
            self.begin = _now()

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch=None, outputs=None
    ) -> None:
        """Note when a step ended, and end the run after enough of them."""
        self.ends.append(_now())
        if len(self.ends) > self.steps:
            raise _Enough

    def mean(self) -> float:
        """Seconds of a step; of the first one if there is no other."""
        if len(self.ends) == 1:
            return self.ends[0] - self.begin
        return (self.ends[-1] - self.ends[0]) / (len(self.ends) - 1)


def measure(node: Node) -> float:
    """Seconds of a run on this machine, one process, from a few steps.

    Nothing is kept. Start-up, checkpoints and the head warm-up are not counted; the
    backbone is untrained.

    Args:
        node (Node): Of the graph.

    Returns:
        float: Seconds of all its steps and of its evaluations.
    """
    spec = node.spec
    if node.kind == 'features':
        return _features(read_own(spec), spec)
    with tempfile.TemporaryDirectory() as folder:
        cfg = load_config(
            argparse.Namespace(
                config=spec['config'],
                cfg_options=deepcopy(spec['options']),
                task=spec['task'],
                work_dir=folder,
                launcher='none',
                local_rank=0,
            )
        )
        adapt(cfg, spec)
        _strip(cfg, node)
        prepare_processes(cfg)
        runner = build_runner(cfg)
        clock = _Clock(1 if node.kind == 'stage' else STEPS)
        runner.register_hook(clock)
        with suppress(_Enough):
            runner.train()
        loop: Any = runner.train_loop
        return clock.mean() * loop.max_iters + _evaluations(runner, loop)


def _strip(cfg: Config, node: Node) -> None:
    """No files are read or written."""
    cfg.experiment_name = f'timing_{node.key}_{time.time_ns()}'
    cfg.log_level = 'ERROR'
    cfg.visualizer = dict(type='Visualizer', vis_backends=[])
    cfg.default_hooks.checkpoint = None
    if node.kind == 'stage':
        cfg.model.pretrained = None
        cfg.train_cfg.head_warmup = None
    elif node.kind != 'pretrain':
        set_checkpoint(cfg.model, None)


def _evaluations(runner: Runner, loop: Any) -> float:
    """Seconds of all evaluations."""
    if runner.val_loop is None or not hasattr(loop, 'val_interval'):
        return 0.0
    number = loop.max_epochs // max(1, loop.val_interval)
    number *= getattr(loop, 'evaluations_per_epoch', 1)
    loader = runner.val_loop.dataloader
    model: Any = runner.model
    model.eval()
    begin, batches = _now(), 0
    with torch.no_grad():
        for batch in islice(loader, STEPS):
            model.val_step(batch)
            batches += 1
    return number * len(loader) * (_now() - begin) / max(1, batches)


def _features(cfg: Config, spec: Mapping[str, Any]) -> float:
    """Seconds of a look at features: passes over training and test images. t-SNE is
    not counted."""
    set_checkpoint(cfg.model, None)
    model = build_model(cfg)
    begin = _now()
    fit_statistics(model, cfg, STEPS)
    one = (_now() - begin) / STEPS
    loader = Runner.build_dataloader(cfg.test_dataloader, seed=0)
    images = len(loader) * (loader.batch_size or 1)
    return one * (spec['batches'] + images / BATCH_SIZE * (1 + len(spec['tuned'])))


def _now() -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()
