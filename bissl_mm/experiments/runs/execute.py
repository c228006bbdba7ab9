"""What a worker does for a node: pretraining, bilevel stage, fine-tuning."""

import argparse
import json
import logging
import os
import os.path as osp
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from ..queue.node import Node
from ..queue.worker import Place

if TYPE_CHECKING:
    # A worker says which GPU is its own before torch is imported.
    from mmengine.config import Config


def execute(node: Node, parents: Mapping[str, dict], place: Place) -> dict:
    """Make a run; what it prints goes to ``output.txt`` in its folder.

    Args:
        node (Node): Of :mod:`~.graph`.
        parents (dict): Results of its parents by key.
        place (Place): Its folder, within the storage.

    Returns:
        dict: For training ``checkpoint``, relative to the storage. For
        the others see :mod:`~.tune`.
    """
    with _output_to(place.folder / 'output.txt'):
        _prepare()
        processes = node.spec.get('processes', 1)
        if node.kind in ('search', 'seed', 'features'):
            from . import tune

            make = tune.show_features if node.kind == 'features' else tune.fine_tuning
            result = make(node, parents, place.folder)
        elif processes == 1:
            start = starting_file(node, parents, place.folder)
            result = train(node, place.folder, start)
        else:
            result = _launch(node, parents, place, processes)
        return dict(result, device=_device())


def train(node: Node, folder: Path, start: str | None, launcher: str = 'none') -> dict:
    """Pretraining or a bilevel stage, continued if there is a checkpoint.

    Args:
        node (Node): Of the kind ``'pretrain'`` or ``'stage'``.
        folder (Path): Work folder.
        start (str, optional): File to start from, see :func:`starting_file`.
        launcher (str): Of mmengine. Defaults to ``'none'``.
    """
    from ...engine.launch import build_runner, prepare_processes

    cfg = _config(node, folder, launcher)
    if node.kind == 'stage':
        cfg.model.update(pretrained=start, pretrained_head=node.spec.get('head'))
    elif start is not None:
        cfg.load_from = start
    cfg.randomness = dict(seed=node.spec['seed'])
    cfg.experiment_name = f'{node.kind}_{node.key}_{time.time_ns()}'
    if (folder / 'last_checkpoint').exists():
        cfg.resume, cfg.load_from = True, None
    prepare_processes(cfg)
    runner = build_runner(cfg)
    runner.train()
    return dict(checkpoint=osp.relpath(_made(node, folder), folder.parents[1]))


def starting_file(node: Node, parents: Mapping[str, dict], folder: Path) -> str | None:
    """The file that training starts from; None for random weights.

    It may be written into the folder. So one process does this, for all of them.

    Args:
        node (Node): See :func:`train`.
        parents (dict): Results by key.
        folder (Path): Work folder.
    """
    from .cell import start_of

    start, head = start_of(node.spec, parents, folder), node.spec.get('head')
    if node.kind == 'stage' or start is None or head is None:
        return start
    return _with_head(_config(node, folder), start, head, folder)


def _config(node: Node, folder: Path, launcher: str = 'none') -> 'Config':
    from ...engine.launch import load_config
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
    return cfg


def _with_head(cfg: 'Config', start: str, head: str, folder: Path) -> str:
    """A pretrained file, with the head that was released in another one."""
    from ...analysis.features import build_model, load_backbone
    from ...models.weights.pretext_heads import load_pretext_head
    from ...utils.checkpoint import save_atomically

    model = build_model(cfg)
    load_backbone(model, start)
    load_pretext_head(model, head)
    path = str(folder / 'start.pth')
    save_atomically(dict(state_dict=model.state_dict()), path)
    return path


def _made(node: Node, folder: Path) -> Path:
    if node.kind == 'stage':
        return folder / 'backbone.pth'
    return folder / osp.basename((folder / 'last_checkpoint').read_text().strip())


def _launch(
    node: Node, parents: Mapping[str, dict], place: Place, processes: int
) -> dict:
    """The same with several processes."""
    from .launched import launch, number_of_processes

    job = dict(
        node=node.to_dict(),
        start=starting_file(node, parents, place.folder),
        processes=number_of_processes(place.folder, processes, node.kind),
    )
    launch(__name__, job, place, str(node))
    return dict(
        checkpoint=osp.relpath(_made(node, place.folder), place.folder.parents[1])
    )


def _device() -> str:
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else 'CPU'


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
    train(Node.from_dict(job['node']), folder, job['start'], 'pytorch')


if __name__ == '__main__':
    from ...command_line import run_tool

    run_tool(lambda _: main(sys.argv[1]))
