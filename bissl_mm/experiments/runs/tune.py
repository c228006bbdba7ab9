"""What a worker does for a fine-tuning, and for a look at features."""

import math
import os.path as osp
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from mmengine.runner import Runner

from ...analysis.runs.fine_tune import Setting, fine_tune
from ...utils.errors import RuntimeRefusal
from ...utils.files import atomic_file
from ..queue.node import Node
from .cell import start_of
from .own_config import read_own
from .starts import STARTS

#: Test images that the preset 'small' shows.
SMALL_IMAGES = 8


def fine_tuning(node: Node, parents: Mapping[str, dict], folder: Path) -> dict:
    """Fine-tune.

    Args:
        node (Node): Of the search, or a final run.
        parents (dict): Results by key.
        folder (Path): Of the run, within the storage.

    Returns:
        dict: ``val``, of final runs ``test`` and all ``metrics``, percent;
        ``curve``, the validation metric of every evaluation; ``setting``; ``loss``,
        that of the validation data, if asked for; ``tuned``, the file of the
        backbone, relative to the storage, if it is kept.
    """
    spec = node.spec
    cfg = read_own(spec)
    setting = spec['setting']
    if node.kind == 'seed' and spec['search']:
        setting = choose(node, parents)
    if setting is None:
        optimizer = cfg.optim_wrapper.optimizer
        setting = dict(lr=optimizer.lr, weight_decay=optimizer.weight_decay)
    start = STARTS[spec['start']](spec['seed']) if spec['start'] else []
    kept = folder / 'tuned.pth'
    result = fine_tune(
        cfg,
        start_of(spec, parents, folder),
        Setting(**setting),
        spec['seed'],
        str(folder),
        spec['metric'],
        test=node.kind == 'seed',
        inspect=(lambda runner: _keep(runner, kept)) if spec.get('keep') else None,
        hooks=start,
        history=True,
        loss=spec.get('loss', False),
    )
    if spec.get('keep') and kept.exists():
        result['tuned'] = osp.relpath(kept, folder.parents[1])
    return _plain(dict(result, setting=setting))


def _keep(runner: Runner, path: Path) -> None:
    """Write the backbone of the best epoch."""
    model = getattr(runner.model, 'module', runner.model)
    state = {
        name: value.cpu()
        for name, value in model.state_dict().items()
        if name.startswith('backbone.')
    }
    with atomic_file(path, 'wb') as file:
        torch.save(dict(state_dict=state), file)


def choose(node: Node, parents: Mapping[str, dict]) -> dict:
    """The setting of the search with the best validation metric.

    Of a search on several stages the mean counts; a setting that diverged on one of
    them is out. With ``loss_margin`` those settings are left out whose validation
    loss is more than this share above the lowest.

    Args:
        node (Node): A final run.
        parents (dict): Results by key; those of the search among them.

    Raises:
        RuntimeError: If no setting gave a number.
    """
    found: dict[tuple, list[dict]] = {}
    for key in node.spec['search']:
        found.setdefault(tuple(parents[key]['setting'].items()), []).append(
            parents[key]
        )
    margin = node.spec.get('loss_margin')
    needed = ('val',) if margin is None else ('val', 'loss')
    numbers: dict[tuple, dict[str, float]] = {}
    for setting, results in found.items():
        values = {kind: [result[kind] for result in results] for kind in needed}
        if not any(None in own for own in values.values()):
            # A point that was given twice has twice as many results.
            numbers[setting] = {kind: fmean(own) for kind, own in values.items()}
    if not numbers:
        raise RuntimeRefusal(
            f'{node}: no setting of the search gave a number for '
            f'{node.spec["metric"]}. Lower the learning rates (search.lr).'
        )
    if margin is not None:
        most = (1 + margin) * min(own['loss'] for own in numbers.values())
        numbers = {s: own for s, own in numbers.items() if own['loss'] <= most}
    return dict(max(numbers, key=lambda setting: numbers[setting]['val']))


def show_features(node: Node, parents: Mapping[str, dict], folder: Path) -> dict:
    """Compare a backbone with what fine-tuning made of it, and show its features.

    Args:
        node (Node): Of the kind ``'features'``.
        parents (dict): Results by key; those of fine-tunings that diverged have no
            file.
        folder (Path): Of the run, within the storage.

    Returns:
        dict: ``parameters`` and ``features``, a cosine for each fine-tuned backbone;
        ``effective_dimension``; ``neighbours``, percent, or None; ``points``, t-SNE
        of at most 2000 test images, ``(N, 2)``, and their ``labels``, or None.

    Source:
        B.10, arXiv:2410.02387.
    """
    from ...analysis.alignment import alignment, effective_dimension
    from ...analysis.alignment_page import MOST_POINTS
    from ...analysis.features import embed, nearest_neighbour_accuracy

    spec = node.spec
    cfg = read_own(spec)
    if spec['small'] is not None:
        loader = cfg.test_dataloader
        loader.num_batch_per_epoch = SMALL_IMAGES // loader.batch_size
    start = start_of(spec, parents, folder)
    assert start is not None
    files = [parents[key].get('tuned') for key in spec['tuned']]
    found = alignment(
        cfg, start, [str(folder.parents[1] / f) for f in files if f], spec['batches']
    )
    labels = found.labels
    step = -(-len(found.test) // MOST_POINTS)
    return _plain(
        dict(
            parameters=found.parameters,
            features=found.features,
            effective_dimension=effective_dimension(found.test),
            neighbours=None
            if labels is None
            else nearest_neighbour_accuracy(found.test, labels),
            points=embed(found.test[::step]).round(3),
            labels=None if labels is None else labels[::step],
        )
    )


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
