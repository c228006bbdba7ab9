"""The report of a demo."""

import html
import os
import os.path as osp

import numpy as np
import torch

from ... import __version__
from .. import report
from ..features import backbone_features, embed, nearest_neighbour_accuracy
from ..scalars import Series, read_scalars
from .results import CAVEAT, comparison_line
from .run import Demo
from .samples import samples
from .tasks import ARMS

#: Of a t-SNE picture, whose time grows faster than their number.
MOST_POINTS = 2000


def write_page(demo: Demo, outcome: dict) -> str:
    """Write ``report.html``.

    Args:
        demo (Demo): The demo, run.
        outcome (dict): Of the comparison; the accuracy of the nearest
            neighbour is added where there are classes of pictures.

    Returns:
        str: Path of the page.
    """
    task, counts, data = demo.task, demo.counts, demo.data
    sections = [
        '<p class="headline"><b>A quick run: the figures mean nothing.</b></p>'
        if demo.quick
        else '',
        f'<p class="lead">SimCLR on unlabeled {html.escape(data.unlabeled)}, '
        f'then {counts["train"]} {task.labeled}. Does the bilevel stage '
        'between pretraining and fine-tuning help, and more than training on '
        'the labeled ones twice?</p>',
        _headline(outcome),
        _stage_table(outcome, demo.num_stages),
        report.strip_plot(
            outcome,
            f'{task.metric_name} [%], one dot a fine-tuning, one form a stage',
            demo.num_stages,
        ),
        report.result_table(outcome),
        _small_print(demo, outcome),
    ]
    pictures = demo.pictures()
    if pictures:
        sections.append(
            report.section(
                'What the arms see',
                'Test pictures, the first seed of each arm.',
                report.picture_rows(dict(pictures), width=2.1),
            )
        )
    sections.append(
        report.section(
            'The pictures',
            f'{counts["pretext"]} without labels, of which the pretext task sees '
            'two views each; labeled ones below. ' + html.escape(data.note),
            report.picture_rows(samples(demo.configs)),
        )
    )
    sections += _curves(demo)
    if task.has_features:
        sections.append(_features(demo, outcome))
    sections.append(_time(demo))
    path = osp.join(demo.work_dir, 'report.html')
    report.write_report(path, f'BiSSL: {task.name}, {data.title}', sections)
    return path


def _headline(outcome: dict) -> str:
    return (
        '<p class="headline">'
        + '<br>'.join(
            html.escape(comparison_line(found)) for found in outcome['comparisons']
        )
        + '</p>'
    )


def _stage_table(outcome: dict, number: int) -> str:
    """Means of the stages, which are the units."""
    rows = [('mean of', *(f'stage {i + 1}' for i in range(number)), 'all')]
    rows += [
        (
            arm['name'],
            *(f'{mean:.1f}' for mean in arm['stage_means']),
            f'{arm["mean"]:.1f}',
        )
        for arm in outcome['arms']
    ]
    return report.table(rows) + (
        f'<small>{ARMS[0]} has no stage: its seeds are those of the stages '
        'beside it.</small>'
    )


def _small_print(demo: Demo, outcome: dict) -> str:
    budget, counts = outcome['budget'], demo.counts
    loop = demo.configs.read('bissl').train_cfg
    return (
        f'<small>Each of the {len(outcome["arms"])} arms: '
        f'{budget["settings"]} random settings of learning rate and weight '
        f'decay, the same for all, chosen on {counts["val"]} validation '
        f'pictures with the first stage; then {budget["seeds"]} fine-tunings '
        f'of each of {demo.num_stages} stages, each tested on '
        f'{counts["test"]} pictures at its best validation epoch. Stages of '
        'an arm differ in their seed and begin with the same pretraining; '
        f'that of {ARMS[0]} is fine-tuned '
        f'{demo.num_stages * budget["seeds"]} times. '
        f'{ARMS[1]} has the head warm-up and the upper steps of the stage '
        'alone, without the pretext task. '
        f'{ARMS[2]} has seen '
        f'{loop.num_alternations * loop.num_lower_steps} more pretext steps. '
        f'{html.escape(CAVEAT)}</small>'
    )


def _curves(demo: Demo) -> list[str]:
    logs = read_scalars(osp.join(demo.work_dir, 'bissl-1'))
    pretext = read_scalars(osp.join(demo.work_dir, 'pretext'))
    return [
        report.section(
            'Both levels',
            'Pretext loss in pretraining and, going on, in the first bilevel '
            'stage; downstream loss of the head alone and then at the two '
            'backbones, which share it.',
            report.curves(
                [
                    ('pretraining', 'step', {'pretext loss': pretext['loss']}, False),
                    (
                        'head warm-up',
                        'epoch',
                        {'downstream loss': logs['head_warmup/loss']},
                        False,
                    ),
                    (
                        'lower level',
                        'alternation',
                        {'pretext loss': logs['lower/pretext_loss']},
                        False,
                    ),
                    (
                        'upper level',
                        'alternation',
                        {
                            r'at $\theta_P$': logs['upper/loss_at_lower'],
                            r'at $\theta_D$': logs['upper/loss_at_upper'],
                        },
                        False,
                    ),
                ]
            ),
        ),
        report.section(
            'The two backbones',
            'How far they drift apart; the share of the way from the '
            r'pretraining to &theta;<sub>D</sub> that &theta;<sub>P</sub> has '
            'gone, which is near 0 where lambda times the lower steps are too '
            'little; and the true relative residual of the linear system (0 '
            'is solved), where one is solved, or how many validation '
            'pictures their neighbours classify rightly.',
            report.curves(_panels(logs)),
        ),
    ]


def _panels(logs: dict[str, Series]) -> list:
    wanted = [
        (r'$\|\theta_P - \theta_D\|$', 'distance', 'lower/distance', False),
        (r'way that $\theta_P$ has gone', 'share', 'regime/moved', False),
        ('residual', 'true residual', 'upper/residual', True),
        ('neighbours', 'right [%]', 'transfer/neighbours', False),
    ]
    return [
        (title, 'alternation', {label: logs[name]}, logarithmic)
        for title, label, name, logarithmic in wanted
        if name in logs
    ]


def _features(demo: Demo, outcome: dict) -> str:
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
    return report.section(
        'What the backbone sees',
        't-SNE of test features before fine-tuning, norm statistics fitted '
        'to the labeled pictures. The nearest neighbour has the same label '
        f'for {neighbours[ARMS[0]]:.1f}% after pretraining, '
        f'{neighbours[ARMS[1]]:.1f}% after training on the task and '
        f'{neighbours[ARMS[2]]:.1f}% after the first bilevel stage.',
        report.scatter_pair(
            ('after pretraining', 'after BiSSL'),
            [embed(features[name][0]) for name in shown],
            features[ARMS[0]][1],
            demo.data.classes,
        ),
    )


def _some(features: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """At most :data:`MOST_POINTS`, from all of them."""
    step = -(-len(labels) // MOST_POINTS)
    return features[::step], labels[::step]


def _time(demo: Demo) -> str:
    seconds = ', '.join(
        f'{name} {value:.0f} s' for name, value in demo.seconds.items() if value
    )
    return report.section(
        'Time',
        f'{seconds}, of stages side by side each its own. '
        f'{os.cpu_count()} cores, torch {torch.__version__}, bissl_mm '
        f'{__version__}.',
    )
