"""The report of a demo."""

import math
import os
import os.path as osp

import numpy as np
import torch

from ... import __version__
from ...engine.hooks.data_distance_hook import NAME as DISTANCE
from .. import report
from ..features import backbone_features, embed, nearest_neighbour_accuracy
from ..scalars import Series, read_scalars
from .results import CAVEAT, comparison_line
from .run import Demo
from .samples import samples
from .tasks import ARMS

#: Maximal number of points in a t-SNE picture. Its time grows faster than they.
MOST_POINTS = 2000


def write_page(demo: Demo, outcome: dict) -> str:
    """Write ``report.html``.

    Args:
        demo (Demo): The finished demo.
        outcome (dict): Result of the comparison. The nearest-neighbour
            accuracy is added to it if each picture has a class.

    Returns:
        str: Path of the page.
    """
    task, data = demo.task, demo.data
    logs = read_scalars(osp.join(demo.work_dir, 'bissl-1'))
    # A stage that an older version finished has logged none.
    assumed = _assumptions(logs)
    pictures = dict(demo.pictures())
    loop = demo.configs.read('bissl').train_cfg
    path = osp.join(demo.work_dir, 'report.html')
    report.write_report(
        path,
        'demo.html',
        title=f'BiSSL: {task.name}, {data.title}',
        arms=ARMS,
        budget=outcome['budget'],
        caveat=CAVEAT,
        comparisons=[comparison_line(found) for found in outcome['comparisons']],
        counts=demo.counts,
        labeled=task.labeled,
        note=data.note,
        num_lower_steps=loop.num_alternations * loop.num_lower_steps,
        num_stages=demo.num_stages,
        quick=demo.quick,
        unlabeled=data.unlabeled,
        stage_rows=_stage_rows(outcome, demo.num_stages),
        strip_plot=report.strip_plot(
            outcome,
            f'{task.metric_name} [%], one dot per fine-tuning, one marker per stage',
            demo.num_stages,
        ),
        result_rows=report.result_rows(outcome),
        predictions=report.picture_rows(pictures, width=2.1) if pictures else None,
        samples=report.picture_rows(samples(demo.configs)),
        level_curves=_level_curves(demo, logs),
        backbone_curves=report.curves(_panels(logs)),
        assumption_curves=report.curves(assumed) if assumed else None,
        data_distance=logs[DISTANCE]['value'][0] if DISTANCE in logs else None,
        features=_features(demo, outcome) if task.has_features else None,
        seconds=[(name, value) for name, value in demo.seconds.items() if value],
        cores=os.cpu_count(),
        torch=torch.__version__,
        version=__version__,
    )
    return path


def _stage_rows(outcome: dict, number: int) -> list[tuple[str, ...]]:
    """Rows of a table with the mean of each stage; stages are the units."""
    return [
        ('mean of', *(f'stage {i + 1}' for i in range(number)), 'all'),
        *(
            (
                arm['name'],
                *(f'{mean:.1f}' for mean in arm['stage_means']),
                f'{arm["mean"]:.1f}',
            )
            for arm in outcome['arms']
        ),
    ]


def _level_curves(demo: Demo, logs: dict[str, Series]) -> str:
    pretext = read_scalars(osp.join(demo.work_dir, 'pretext'))
    levels = {
        r'at $\theta_P$': logs['upper/loss_at_lower'],
        r'at $\theta_D$': logs['upper/loss_at_upper'],
    }
    head, lower = logs['head_warmup/loss'], logs['lower/pretext_loss']
    return report.curves(
        [
            ('pretraining', 'step', {'pretext loss': pretext['loss']}, False),
            ('head warm-up', 'epoch', {'downstream loss': head}, False),
            ('lower level', 'alternation', {'pretext loss': lower}, False),
            ('upper level', 'alternation', levels, False),
        ]
    )


def _panels(logs: dict[str, Series]) -> list:
    wanted = [
        (r'$\|\theta_P - \theta_D\|$', 'distance', 'lower/distance', False),
        (r'way that $\theta_P$ has moved', 'share', 'regime/moved', False),
        ('residual', 'true residual', 'upper/residual', True),
        ('neighbours', 'right [%]', 'transfer/neighbours', False),
    ]
    return [
        (title, 'alternation', {label: logs[name]}, logarithmic)
        for title, label, name, logarithmic in wanted
        if name in logs
    ]


def _assumptions(logs: dict[str, Series]) -> list:
    wanted = {
        "lower level's gradient": ('over that of its parts', 'lower/stationarity'),
        'smallest curvature met': ('curvature', 'upper/min_curvature'),
    }
    return [
        (title, 'alternation', {label: logs[name]}, False)
        for title, (label, name) in wanted.items()
        # Without products no curvature is met: it is infinite.
        if any(map(math.isfinite, logs.get(name, {}).get('value', ())))
    ]


def _features(demo: Demo, outcome: dict) -> dict:
    cfg = demo.stages['fine_tune'].cfg
    features = {
        name: _some(*backbone_features(cfg, found[0]))
        for name, found in demo.checkpoints.items()
    }
    neighbours = {
        name: nearest_neighbour_accuracy(*pair) for name, pair in features.items()
    }
    outcome['nearest_neighbour_accuracy'] = neighbours
    shown = ARMS[0], ARMS[-1]
    return dict(
        neighbours=neighbours,
        scatter=report.scatter_pair(
            ('after pretraining', 'after BiSSL'),
            [embed(features[name][0]) for name in shown],
            features[ARMS[0]][1],
            demo.data.classes,
        ),
    )


def _some(features: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """At most :data:`MOST_POINTS` samples, evenly from the whole set."""
    step = -(-len(labels) // MOST_POINTS)
    return features[::step], labels[::step]
