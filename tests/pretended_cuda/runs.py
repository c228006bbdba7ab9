"""Whole runs of shipped configs on the pretended device."""

import itertools
import os
import tempfile
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import Any
from unittest import mock

import dense_run
import mmengine.device.utils as device_utils
import pytest
import small_run
import torch
from mmengine.hooks import Hook
from torch.utils._pytree import tree_leaves, tree_map_only

from bissl_mm.engine.launch import build_runner, prepare_processes

from .mode import PretendedCuda
from .tensor import MixedDevices, OnCuda

_load = torch.load
_numbers = itertools.count()


def _load_onto_device(file, map_location=None, **kwargs) -> Any:
    """``torch.load``, which cannot make tensors of a class of ours."""
    found = _load(file, map_location='cpu', **kwargs)
    if 'cuda' not in str(map_location):
        return found
    return tree_map_only(torch.Tensor, lambda t: t.to('cuda'), found)


class _StopAt(Hook):
    def __init__(self, count: int) -> None:
        self.left = count

    def after_upper_step(self, runner, **kwargs) -> None:
        self.left -= 1
        if self.left == 0:
            runner.train_loop.request_stop(15)


def _train(cfg, mode: PretendedCuda | None, stop: int = 0) -> dict[str, torch.Tensor]:
    """The weights after a run, or after it was stopped at an upper step."""
    cfg.launcher = 'none'
    cfg.experiment_name = f'run{next(_numbers)}'
    with ExitStack() as stack:
        if mode is not None:
            stack.enter_context(mock.patch.object(device_utils, 'DEVICE', 'cuda'))
            stack.enter_context(mock.patch.object(torch, 'load', _load_onto_device))
        stack.enter_context(nullcontext() if mode is None else mode)
        prepare_processes(cfg)
        runner = build_runner(cfg)
        if stop:
            runner.register_hook(_StopAt(stop))
        try:
            runner.train()
        except SystemExit:
            assert stop
        device = next(runner.model.parameters()).device.type
        assert device == ('cpu' if mode is None else 'cuda')
        return {
            key: (value.elem if isinstance(value, OnCuda) else value).clone()
            for key, value in runner.model.state_dict().items()
        }


def _difference(found: dict, expected: dict) -> float:
    return max(
        (found[key].double() - value.double()).abs().max().item()
        for key, value in expected.items()
    )


def whole_run() -> dict[str, Any]:
    """A run of the stage; the same stopped in an upper phase and resumed; the
    same on the CPU.

    Returns:
        dict: ``without_kernel``; ``resumed`` and ``cpu``, the largest differences
        of a weight from the first run.
    """
    root = Path(tempfile.mkdtemp())
    small_run.make_folders(root)

    def config(name: str, resume: bool = False):
        with pytest.MonkeyPatch.context() as patch:
            cfg = small_run.small_config(
                patch,
                root,
                root / name,
                train_cfg__num_alternations=2,
                optim_wrapper__hypergradient__damping=1e3,
                optim_wrapper__hypergradient__solver=dict(
                    type='RecyclingSolver', _delete_=True, max_iters=2
                ),
                default_hooks__checkpoint__step_interval=1,
            )
        cfg.resume = resume
        return cfg

    mode = PretendedCuda()
    os.environ['BISSL_NUM_CLASSES'] = str(len(small_run.CLASSES))
    whole = _train(config('whole'), mode)
    _train(config('part'), PretendedCuda(), stop=3)
    resumed = _train(config('part', resume=True), PretendedCuda())
    cpu = _train(config('cpu'), None)
    return dict(
        without_kernel=sorted(mode.without_kernel),
        resumed=_difference(resumed, whole),
        cpu=_difference(whole, cpu),
    )


def dense(name: str) -> dict[str, Any]:
    """A run of a detector or a segmentor, and the same on the CPU.

    Args:
        name (str): Of ``dense_run.dense_config``.
    """
    root = Path(tempfile.mkdtemp())
    dense_run.make_scenes(root)
    _wrap_operators()
    mode, states = PretendedCuda(), []
    for device in (mode, None):
        cfg = dense_run.dense_config(
            name,
            root,
            root / f'{len(states)}',
            train_cfg__num_alternations=1,
            # A strongly damped system amplifies no rounding.
            optim_wrapper__hypergradient__damping=1e3,
        )
        states.append(_train(cfg, device))
    return dict(without_kernel=sorted(mode.without_kernel), cpu=_difference(*states))


def _wrap_operators() -> None:
    """Let mmcv's compiled operators take tensors of the pretended device."""
    from mmcv import _ext

    def wrapped(operator):
        def call(*args, **kwargs):
            leaves = tree_leaves((args, kwargs))
            tensors = [x for x in leaves if isinstance(x, torch.Tensor)]
            ours = [x for x in tensors if isinstance(x, OnCuda)]
            if not ours:
                return operator(*args, **kwargs)
            if len(ours) < len(tensors):
                raise MixedDevices(f'mmcv: {operator.__name__}')
            args, kwargs = tree_map_only(OnCuda, lambda t: t.elem, (args, kwargs))
            return tree_map_only(torch.Tensor, OnCuda, operator(*args, **kwargs))

        return call

    for name in dir(_ext):
        if not name.startswith('_') and callable(getattr(_ext, name)):
            setattr(_ext, name, wrapped(getattr(_ext, name)))
