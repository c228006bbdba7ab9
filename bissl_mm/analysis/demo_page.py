"""The report of a demo."""

import os
import os.path as osp
import torch

from .. import __version__
from . import report
from .demo import ARMS, Demo
from .features import backbone_features, embed, nearest_neighbour_accuracy
from .scalars import read_scalars


def write_page(demo: Demo, outcome: dict) -> str:
    """Write ``report.html``.

    Args:
        demo (Demo): The demo, run.
        outcome (dict): Of the comparison; the accuracy of the nearest
            neighbour is added where there are classes of pictures.

    Returns:
        str: Path of the page.
    """
    task, counts = demo.task, demo.counts
    sections = [
        '<p class="headline"><b>A quick run: the figures mean nothing.</b>'
        '</p>' if demo.quick else '',
        '<p class="lead">SimCLR on unlabeled handwritten digits, then '
        f'{counts["train"]} {task.labeled}. Does the bilevel stage between '
        'pretraining and fine-tuning help?</p>',
        report.headline(outcome, task.metric_name),
        report.strip_plot(outcome, f'{task.metric_name} [%], one dot a seed'),
        report.result_table(outcome),
        _small_print(demo, outcome),
    ]
    pictures = demo.pictures()
    if pictures:
        sections.append(report.section(
            'What the two arms see',
            'Test pictures, the first seed of each arm.',
            report.picture_rows(dict(pictures), width=2.1)))
    sections.append(report.section(
        'The pictures',
        f'{counts["pretext"]} digits without labels, of which the pretext '
        'task sees two views each; labeled pictures below.',
        report.picture_rows(demo.samples())))
    sections += _curves(demo)
    if task.name == 'classification':
        sections.append(_features(demo, outcome))
    sections.append(report.section(
        'Time', ', '.join(f'{name} {value:.0f} s'
                          for name, value in demo.seconds.items()) +
        f'. {os.cpu_count()} cores, torch {torch.__version__}, bissl_mm '
        f'{__version__}.'))
    path = osp.join(demo.work_dir, 'report.html')
    report.write_report(path, f'BiSSL: {task.name} of handwritten digits',
                        sections)
    return path


def _small_print(demo: Demo, outcome: dict) -> str:
    budget, counts = outcome['budget'], demo.counts
    loop = demo.config('bissl').train_cfg
    return (f'<small>Each of the {len(outcome["arms"])} arms: '
            f'{budget["settings"]} random settings of learning rate and '
            f'weight decay, the same for all, chosen on {counts["val"]} '
            f'validation pictures; then {budget["seeds"]} seeds, each tested '
            f'on {counts["test"]} pictures at its best validation epoch. One '
            'backbone an arm: the spread is that of fine-tuning. The BiSSL '
            'arm has seen '
            f'{loop.num_alternations * loop.num_lower_steps} more pretext '
            'steps; its lambda was chosen on the validation data of the '
            'classification demo.</small>')


def _curves(demo: Demo) -> list:
    logs = read_scalars(osp.join(demo.work_dir, 'bissl'))
    pretext = read_scalars(osp.join(demo.work_dir, 'pretext'))
    return [
        report.section(
            'Both levels',
            'Pretext loss in pretraining and, going on, in the bilevel '
            'stage; downstream loss of the head alone and then at the two '
            'backbones, which share it.',
            report.curves([
                ('pretraining', 'step', {'pretext loss': pretext['loss']},
                 False),
                ('head warm-up', 'epoch',
                 {'downstream loss': logs['head_warmup/loss']}, False),
                ('lower level', 'alternation',
                 {'pretext loss': logs['lower/pretext_loss']}, False),
                ('upper level', 'alternation', {
                    r'at $\theta_P$': logs['upper/loss_at_lower'],
                    r'at $\theta_D$': logs['upper/loss_at_upper']
                }, False),
            ])),
        report.section(
            'The hypergradient',
            'True relative residual of the linear system after the '
            'published five layer-wise iterations (0 is solved, 1 is what '
            'the zero vector gives), the angle between the downstream '
            'gradient v and the solution, and how far the two backbones '
            'drift apart.',
            report.curves([
                ('residual', 'alternation',
                 {'true residual': logs['upper/residual']}, True),
                (r'cosine of $v$ and $v_{IJ}$', 'alternation',
                 {'cosine': logs['upper/cosine']}, False),
                (r'$\|\theta_P - \theta_D\|$', 'alternation',
                 {'distance': logs['lower/distance']}, False),
            ])),
    ]


def _features(demo: Demo, outcome: dict) -> str:
    cfg = demo.config('fine_tune')
    features = {name: backbone_features(cfg, checkpoint)
                for name, checkpoint in demo.checkpoints.items()}
    neighbours = {name: nearest_neighbour_accuracy(*pair)
                  for name, pair in features.items()}
    outcome['nearest_neighbour_accuracy'] = neighbours
    return report.section(
        'What the backbone sees',
        't-SNE of test features before fine-tuning, norm statistics fitted '
        'to the labeled pictures. The nearest neighbour has the same label '
        f'for {neighbours[ARMS[0]]:.1f}% before and '
        f'{neighbours[ARMS[1]]:.1f}% after the bilevel stage.',
        report.scatter_pair(
            ('after pretraining', 'after BiSSL'),
            [embed(features[name][0]) for name in ARMS], features[ARMS[0]][1],
            [str(i) for i in range(10)]))
