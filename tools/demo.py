"""See BiSSL work: all four stages on handwritten digits, then a report.

SimCLR pretrains a small ResNet on unlabeled digits, the bilevel stage aligns
it with the task of reading fifty labeled ones, and fine-tuning with and
without that stage is compared over several seeds. The pictures come with
scikit-learn; nothing is downloaded.
"""

import argparse
import json
import logging
import os
import os.path as osp
import platform
import shutil
import time
import warnings
from typing import Dict, List, Optional

import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from tqdm import tqdm

import bissl_mm
from bissl_mm.analysis import report
from bissl_mm.analysis.comparison import compare, draw_settings
from bissl_mm.analysis.digits import write_digits
from bissl_mm.analysis.features import (backbone_features, embed,
                                        nearest_neighbour_accuracy)
from bissl_mm.analysis.scalars import read_scalars
from bissl_mm.datasets import LevelStream
from bissl_mm.engine.launch import (build_runner, prepare_processes,
                                    run_tool)

CONFIGS = osp.join(osp.dirname(osp.abspath(__file__)), '..', 'configs',
                   'demo')
ARMS = ('FT', 'BiSSL+FT')
#: Fixed before the first comparison; the same for both arms.
BUDGET = dict(settings=8, lr=(1e-3, 0.3), weight_decay=(1e-5, 1e-2),
              seeds=10)


def parse_args(argv: Optional[List[str]]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--work-dir', default='work_dirs/demo')
    parser.add_argument(
        '--quick', action='store_true',
        help='a few steps of everything, to see that it runs; the results '
        'mean nothing')
    return parser.parse_args(argv)


def stage_config(name: str, args: argparse.Namespace, folder: str,
                 label: str) -> Config:
    """A demo config that shows a bar instead of log lines."""
    cfg = Config.fromfile(osp.join(CONFIGS, name))
    cfg.work_dir = osp.join(args.work_dir, folder)
    cfg.launcher = 'none'
    cfg.log_level = 'WARNING'
    cfg.custom_hooks = cfg.get('custom_hooks', []) + [
        dict(type='bissl_mm.ProgressBarHook', name=label)
    ]
    return cfg


def run_pretext(args: argparse.Namespace) -> str:
    """Stage 1; returns the checkpoint."""
    cfg = stage_config('simclr_digits.py', args, 'pretext',
                       '1 pretraining ')
    if args.quick:
        cfg.train_cfg.max_epochs = 1
        cfg.train_dataloader.batch_size = 64
        cfg.param_scheduler.end = 1
    build_runner(cfg).train()
    return osp.join(cfg.work_dir, f'epoch_{cfg.train_cfg.max_epochs}.pth')


def run_bissl(args: argparse.Namespace, pretrained: str) -> str:
    """Stages 2 and 3; returns the exported backbone."""
    cfg = stage_config('bissl-simclr_digits.py', args, 'bissl',
                       '2+3 warm-up, BiSSL')
    cfg.model.pretrained = pretrained
    if args.quick:
        cfg.train_cfg.update(num_alternations=2, num_upper_steps=1)
        cfg.train_cfg.head_warmup.num_epochs = 1
        cfg.train_cfg.pretext_dataloader.batch_size = 16
        cfg.param_scheduler.lower = []
    build_runner(cfg).train()
    return osp.join(cfg.work_dir, 'backbone.pth')


def run_comparison(args: argparse.Namespace,
                   checkpoints: Dict[str, str]) -> dict:
    """Stage 4 of both arms."""
    cfg = Config.fromfile(osp.join(CONFIGS, 'fine_tune_digits.py'))
    budget = dict(BUDGET)
    if args.quick:
        budget.update(settings=1, seeds=2)
        cfg.train_cfg.update(max_epochs=2, val_interval=1)
        cfg.param_scheduler.end = 2
    settings = draw_settings(budget['settings'], budget['lr'],
                             budget['weight_decay'], seed=0)
    seeds = range(1, budget['seeds'] + 1)
    total = len(checkpoints) * (len(settings) + len(seeds))
    with tqdm(total=total, desc='4 fine-tuning ', dynamic_ncols=True) as bar:

        def step(text: str) -> None:
            bar.update()
            bar.set_postfix_str(text)

        outcome = compare(cfg, checkpoints, settings, list(seeds),
                          osp.join(args.work_dir, 'fine_tune'), step=step)
    return dict(outcome, budget=budget)


def sample_pictures(args: argparse.Namespace) -> Dict[str, list]:
    """Some pictures of each part as training sees them."""
    rows = {}
    cfg = Config.fromfile(osp.join(CONFIGS, 'bissl-simclr_digits.py'))
    for name, loader in (
            ('first view', cfg.train_cfg.pretext_dataloader),
            ('second view', cfg.train_cfg.pretext_dataloader),
            ('labeled', cfg.train_dataloader)):
        stream = LevelStream({**loader, 'batch_size': 1}, 'lower')
        stream.start(0)
        samples = [stream.samples[stream.sampler.keys(i)[0]]['inputs']
                   for i in range(12)]
        if name != 'labeled':
            samples = [s[name.startswith('second')] for s in samples]
        rows[name] = [s[0].numpy() for s in samples]
    return rows


def write_page(args: argparse.Namespace, outcome: dict, counts: dict,
               checkpoints: Dict[str, str], seconds: Dict[str, float]) -> str:
    """The report; returns its path."""
    metric = 'test accuracy'
    logs = read_scalars(osp.join(args.work_dir, 'bissl'))
    pretext = read_scalars(osp.join(args.work_dir, 'pretext'))
    cfg = Config.fromfile(osp.join(CONFIGS, 'fine_tune_digits.py'))
    features = {name: backbone_features(cfg, checkpoint)
                for name, checkpoint in checkpoints.items()}
    neighbours = {name: nearest_neighbour_accuracy(*pair)
                  for name, pair in features.items()}
    outcome['nearest_neighbour_accuracy'] = neighbours
    labels = features[ARMS[0]][1]
    arms = len(outcome['arms'])
    loop = Config.fromfile(osp.join(CONFIGS, 'bissl-simclr_digits.py'))
    sections = [
        '<p class="lead">SimCLR on unlabeled handwritten digits, then '
        f'{counts["train"]} labeled ones. Does the bilevel stage between '
        'pretraining and fine-tuning help?</p>',
        report.headline(outcome, metric),
        report.strip_plot(outcome, metric + ' [%], one dot a seed'),
        report.result_table(outcome),
        f'<small>Each of the {arms} arms: {outcome["budget"]["settings"]} '
        'random settings of learning rate and weight decay, the same for '
        'all, chosen on '
        f'{counts["val"]} validation pictures; then '
        f'{outcome["budget"]["seeds"]} seeds, each tested on {counts["test"]} '
        'pictures at its best validation epoch. One backbone an arm: the '
        'spread is that of fine-tuning. The BiSSL arm has seen '
        f'{loop.train_cfg.num_alternations * loop.train_cfg.num_lower_steps} '
        'more pretext steps; its lambda was chosen on the validation data.'
        '</small>',
        report.section(
            'The pictures',
            f'{counts["pretext"]} digits without labels, of which the '
            'pretext task sees two views each; labeled ones below.',
            report.picture_rows(sample_pictures(args))),
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
        report.section(
            'What the backbone sees',
            't-SNE of test features before fine-tuning, norm statistics '
            'fitted to the labeled pictures. The nearest neighbour has the '
            f'same label for {neighbours[ARMS[0]]:.1f}% before and '
            f'{neighbours[ARMS[1]]:.1f}% after the bilevel stage.',
            report.scatter_pair(
                ('after pretraining', 'after BiSSL'),
                [embed(features[name][0]) for name in ARMS], labels,
                [str(i) for i in range(10)])),
        report.section(
            'Time', ', '.join(f'{name} {value:.0f} s'
                              for name, value in seconds.items()) +
            f'. {os.cpu_count()} cores, torch {torch.__version__}, bissl_mm '
            f'{bissl_mm.__version__}.'),
    ]
    path = osp.join(args.work_dir, 'report.html')
    report.write_report(path, 'BiSSL on handwritten digits', sections)
    return path


def main(argv: Optional[List[str]] = None) -> None:
    args = parse_args(argv)
    warnings.filterwarnings('ignore')
    MMLogger.get_instance('mmengine').setLevel(logging.ERROR)
    prepare_processes(Config(dict(launcher='none')))
    for folder in ('pretext', 'bissl', 'fine_tune'):
        shutil.rmtree(osp.join(args.work_dir, folder), ignore_errors=True)
    data = osp.join(args.work_dir, 'data')
    os.environ['BISSL_DEMO_DATA'] = data
    counts = write_digits(data)
    print('Pictures: ' + ', '.join(f'{n} {part}'
                                   for part, n in counts.items()))
    seconds, begin = {}, time.time()

    def lap(name: str) -> None:
        seconds[name] = time.time() - begin - sum(seconds.values())

    pretrained = run_pretext(args)
    lap('pretraining')
    backbone = run_bissl(args, pretrained)
    lap('warm-up and BiSSL')
    checkpoints = dict(zip(ARMS, (pretrained, backbone), strict=True))
    outcome = run_comparison(args, checkpoints)
    lap('fine-tuning')
    page = write_page(args, outcome, counts, checkpoints, seconds)
    lap('report')
    results = dict(outcome, seconds=seconds, data=counts, quick=args.quick,
                   cores=os.cpu_count(), torch=torch.__version__,
                   python=platform.python_version(),
                   bissl_mm=bissl_mm.__version__)
    path = osp.join(args.work_dir, 'results.json')
    with open(path, 'w') as file:
        json.dump(results, file, indent=1)
    for arm in outcome['arms']:
        print(f'{arm["name"]:>9}: {arm["mean"]:.2f} +- {arm["std"]:.2f} % '
              'test accuracy')
    print(f'difference {outcome["difference"]:+.2f}, exact permutation '
          f'p = {outcome["p_value"]:.4g}\n{page}\n{path}')


if __name__ == '__main__':
    run_tool(main)
