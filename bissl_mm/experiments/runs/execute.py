"""What a worker does for a node: pretraining, bilevel stage, fine-tuning."""

import argparse
import ctypes
import json
import logging
import math
import os
import os.path as osp
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

from ...utils.errors import RuntimeRefusal
from ...utils.files import atomic_file
from ..queue.node import Node
from ..queue.worker import Place


def execute(node: Node, parents: Mapping[str, dict], place: Place) -> dict:
    """Make a run; what it prints goes to ``output.txt`` in its folder.

    Args:
        node (Node): Of :mod:`~.graph`.
        parents (dict): Results of its parents by key.
        place (Place): Its folder, within the storage.

    Returns:
        dict: For training ``checkpoint``, relative to the storage. For
        fine-tuning ``val``, of final runs ``test`` and all ``metrics``, percent,
        and ``curve``, the validation metric of every evaluation.
    """
    with _output_to(place.folder / 'output.txt'):
        _prepare()
        processes = node.spec.get('processes', 1)
        if node.kind in ('search', 'seed'):
            result = _fine_tune(node, parents, place)
        elif processes == 1:
            result = train(node, parents, place.folder)
        else:
            result = _launch(node, parents, place, processes)
        return dict(result, device=_device())


def train(
    node: Node, parents: Mapping[str, dict], folder: Path, launcher: str = 'none'
) -> dict:
    """Pretraining or a bilevel stage, continued if there is a checkpoint.

    Args:
        node (Node): Of the kind ``'pretrain'`` or ``'stage'``.
        parents (dict): Results by key.
        folder (Path): Work folder.
        launcher (str): Of mmengine. Defaults to ``'none'``.
    """
    from ...engine.launch import build_runner, load_config, prepare_processes
    from .own_config import adapt

    spec = node.spec
    cfg = load_config(
        argparse.Namespace(
            config=spec['config'],
            cfg_options=deepcopy(spec['options']),
            task=spec['task'],
            work_dir=str(folder),
            launcher=launcher,
            local_rank=0,
        )
    )
    adapt(cfg, spec)
    start = _start_of(spec, parents, folder)
    if node.kind == 'stage':
        cfg.model.pretrained = start
    elif start is not None:
        cfg.load_from = start
    cfg.randomness = dict(seed=spec['seed'])
    cfg.experiment_name = f'{node.kind}_{node.key}_{time.time_ns()}'
    if (folder / 'last_checkpoint').exists():
        cfg.resume, cfg.load_from = True, None
    prepare_processes(cfg)
    runner = build_runner(cfg)
    runner.train()
    return dict(checkpoint=osp.relpath(_made(node, folder), folder.parents[1]))


def _made(node: Node, folder: Path) -> Path:
    if node.kind == 'stage':
        return folder / 'backbone.pth'
    return folder / osp.basename((folder / 'last_checkpoint').read_text().strip())


def _fine_tune(node: Node, parents: Mapping[str, dict], place: Place) -> dict:
    from ...analysis.runs.fine_tune import Setting, fine_tune
    from .own_config import read_own
    from .starts import STARTS

    spec = node.spec
    cfg = read_own(spec)
    setting = spec['setting']
    if node.kind == 'seed' and spec['search']:
        setting = choose(node, parents)
    if setting is None:
        optimizer = cfg.optim_wrapper.optimizer
        setting = dict(lr=optimizer.lr, weight_decay=optimizer.weight_decay)
    start = STARTS[spec['start']](spec['seed']) if spec['start'] else []
    result = fine_tune(
        cfg,
        _start_of(spec, parents, place.folder),
        Setting(**setting),
        spec['seed'],
        str(place.folder),
        spec['metric'],
        test=node.kind == 'seed',
        hooks=start,
        history=True,
    )
    return _plain(dict(result, setting=setting))


def choose(node: Node, parents: Mapping[str, dict]) -> dict:
    """The setting of the search with the best validation metric.

    Args:
        node (Node): A final run.
        parents (dict): Results by key; those of the search among them.

    Raises:
        RuntimeError: If no setting gave a number.
    """
    found = [parents[key] for key in node.spec['search']]
    numbers = [r for r in found if r['val'] is not None]
    if not numbers:
        raise RuntimeRefusal(
            f'{node}: no setting of the search gave a number for '
            f'{node.spec["metric"]}. Lower the learning rates (search.lr).'
        )
    return max(numbers, key=lambda r: r['val'])['setting']


def _plain(value: Any) -> Any:
    """For JSON, which has no NaN and no numbers of NumPy's or torch's."""
    if hasattr(value, 'tolist'):
        value = value.tolist()
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _start_of(
    spec: Mapping[str, Any], parents: Mapping[str, dict], folder: Path
) -> str | None:
    """The backbone file that a run starts from."""
    if spec['source'] is not None:
        return str(folder.parents[1] / parents[spec['source']]['checkpoint'])
    return spec['file']


def _launch(
    node: Node, parents: Mapping[str, dict], place: Place, processes: int
) -> dict:
    """The same with several processes, which torchrun starts."""
    import torch

    if torch.cuda.is_available():
        processes = min(processes, torch.cuda.device_count())
    job = place.folder / 'job.json'
    with atomic_file(job) as file:
        file.write(json.dumps(dict(node=node.to_dict(), parents=dict(parents))))
    command = [sys.executable, '-m', 'torch.distributed.run', '--standalone']
    command += [f'--nproc_per_node={processes}', '-m', __name__, str(job)]
    with subprocess.Popen(command, preexec_fn=_end_with_parent) as child:
        place.hold(child.pid)
        status = child.wait()
    if status:
        raise RuntimeRefusal(
            f'{node}: {processes} processes ended with exit status {status}. '
            f'{place.folder / "output.txt"} says why.'
        )
    return dict(
        checkpoint=osp.relpath(_made(node, place.folder), place.folder.parents[1])
    )


def _device() -> str:
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else 'CPU'


def _end_with_parent() -> None:
    """In a child: get SIGTERM when the parent dies, at which torchrun ends its
    processes. Linux only; elsewhere the run stays taken until they end."""
    if sys.platform == 'linux':
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)


@cache
def _prepare() -> None:
    """Import the libraries, once for all runs of a worker."""
    import gc
    import warnings
    from importlib import import_module

    import torch
    from mmengine.config import Config
    from mmengine.logging import MMLogger

    from ...engine.launch import prepare_processes

    torch.set_num_threads(1)
    warnings.filterwarnings('ignore')
    MMLogger.get_instance('mmengine').setLevel(logging.ERROR)
    prepare_processes(Config(dict(launcher='none')))
    for module in ('bissl_mm.models', 'bissl_mm.datasets', 'bissl_mm.engine'):
        import_module(module)
    import_module('mmpretrain.utils').register_all_modules(False)
    gc.freeze()


@contextmanager
def _output_to(path: Path) -> Iterator[None]:
    """Inside, everything that is printed goes to a file."""
    sys.stdout.flush()
    sys.stderr.flush()
    before = os.dup(1), os.dup(2)
    with path.open('a') as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for number, old in zip((1, 2), before, strict=True):
            os.dup2(old, number)
            os.close(old)


def main(path: str) -> None:
    """One of the processes that torchrun started."""
    job = json.loads(Path(path).read_text())
    folder = Path(path).parent
    train(Node.from_dict(job['node']), job['parents'], folder, 'pytorch')


if __name__ == '__main__':
    from ...command_line import run_tool

    run_tool(lambda _: main(sys.argv[1]))
