"""Does a better hypergradient pay? Bilevel stage and fine-tuning by solver.

Every arm is the same bilevel stage with another solver, damping or Hessian
batch, run from the same pretraining with the same seeds and fine-tuned at one
fixed setting; the test accuracy is that of the epoch with the best validation
accuracy. Runs that a results file holds already are not repeated::

    python benchmarks/solver_accuracy.py --json solver_accuracy.json
"""

import argparse
import glob
import json
import logging
import os
import re
import resource
import statistics
import subprocess
import sys
import warnings

import torch
from mmengine.config import Config
from mmengine.logging import MMLogger

import bissl_mm.engine  # noqa: F401  (registers)
from bissl_mm.analysis.json_file import write_json
from bissl_mm.analysis.permutation_test import permutation_test
from bissl_mm.analysis.runs.fine_tune import Setting, fine_tune

PRETRAINED = 'work_dirs/simclr_r18_b256-20e_cifar10-48px/epoch_20.pth'
STAGE = 'configs/bissl/bissl-simclr_r18_b64-10x4-10t_cifar10-48px_published.py'
FINE_TUNE = 'configs/fine_tune/r18_48px.py'
SETTING = Setting(lr=0.038, weight_decay=6.4e-5)
#: Arm -> settings of the optim wrapper, None for fine-tuning alone.
ARMS = {
    'no bilevel stage': None,
    'direct term only': dict(solver=dict(type='DiscardSolver')),
    'v itself': dict(solver=dict(type='IdentitySolver')),
    'published, damping 10': {},
    'published, damping 100': dict(damping=100.0),
    'MINRES, damping 10': dict(
        solver=dict(type='MinresSolver', max_iters=6, tolerance=0.1)
    ),
    'recycling, damping 100': dict(
        solver=dict(type='RecyclingSolver', tolerance=0.1), damping=100.0
    ),
    'recycling, damping 100, half the batch': dict(
        solver=dict(type='RecyclingSolver', tolerance=0.1), damping=100.0, batch_size=32
    ),
    'Gauss-Newton, damping 10': dict(
        solver=dict(type='CGSolver', tolerance=0.1), curvature='gauss_newton'
    ),
}


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--arm', nargs='+', default=list(ARMS), choices=list(ARMS))
    parser.add_argument('--seeds', type=int, nargs='+', default=[1, 2, 3])
    parser.add_argument('--alternations', type=int, default=4)
    parser.add_argument('--work-dir', default='work_dirs/solver_accuracy')
    parser.add_argument('--json', required=True)
    return parser.parse_args()


def stage(arm: str, seed: int, args: argparse.Namespace) -> dict:
    """The bilevel stage; its time, its monitor's figures, its backbone."""
    if ARMS[arm] is None:
        return dict(
            cpu_seconds=0.0,
            backbone=PRETRAINED,
            residuals=[],
            cosines=[],
            iterations=[],
        )
    folder = os.path.join(args.work_dir, re.sub(r'\W+', '-', arm) + f'-{seed}')
    # Every residual is checked, in all arms alike: RecyclingSolver estimates
    # some of its own.
    own = dict(ARMS[arm], check_residual='always')
    if 'solver' in own:
        # Merging would keep arguments of the solver that is replaced.
        own['solver'] = dict(own['solver'], _delete_=True)
    os.makedirs(args.work_dir, exist_ok=True)
    config = folder + '.py'
    with open(config, 'w') as file:
        file.write(
            f'_base_ = {os.path.abspath(STAGE)!r}\n'
            f'optim_wrapper = dict(hypergradient={own!r})\n'
        )
    begin = children_seconds()
    subprocess.run(
        [
            sys.executable,
            'tools/train.py',
            config,
            '--work-dir',
            folder,
            '--cfg-options',
            f'randomness.seed={seed}',
            f'train_cfg.num_alternations={args.alternations}',
            'train_cfg.val_interval=1000',
        ],
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    seconds = children_seconds() - begin
    logs = sorted(glob.glob(os.path.join(folder, '*/vis_data/scalars.json')))
    with open(logs[-1]) as file:
        rows = [json.loads(line) for line in file]
    rows = [r for r in rows if 'upper/cosine' in r]
    return dict(
        cpu_seconds=seconds,
        backbone=os.path.join(folder, 'backbone.pth'),
        residuals=[r.get('upper/residual') for r in rows],
        cosines=[r['upper/cosine'] for r in rows],
        iterations=[r['upper/iters'] for r in rows],
    )


def children_seconds() -> float:
    """Processor time of ended child processes."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    args = parse_args()
    warnings.filterwarnings('ignore')
    MMLogger.get_instance('mmengine').setLevel(logging.ERROR)
    runs = []
    if os.path.exists(args.json):
        with open(args.json) as file:
            runs = json.load(file)['runs']
    for run in runs:
        if run['alternations'] != args.alternations or run['wrapper'] != ARMS.get(
            run['arm']
        ):
            raise ValueError(
                f'{args.json} holds a run of {run["arm"]!r} with other '
                'settings. Name another file.'
            )
    done = {(r['arm'], r['seed']) for r in runs}
    for seed in args.seeds:
        for arm in args.arm:
            if (arm, seed) in done:
                continue
            found = stage(arm, seed, args)
            result = fine_tune(
                Config.fromfile(FINE_TUNE),
                found.pop('backbone'),
                SETTING,
                seed,
                os.path.join(args.work_dir, 'fine_tune'),
            )
            runs.append(
                dict(
                    arm=arm,
                    seed=seed,
                    wrapper=ARMS[arm],
                    alternations=args.alternations,
                    **found,
                    **result,
                )
            )
            print(runs[-1], flush=True)
            write_json(
                args.json,
                dict(
                    runs=runs,
                    stage=STAGE,
                    fine_tune=FINE_TUNE,
                    setting=vars(SETTING),
                    threads=torch.get_num_threads(),
                    torch=torch.__version__,
                ),
            )
    table(runs)


def table(runs: list) -> None:
    arms = {}
    for run in runs:
        arms.setdefault(run['arm'], []).append(run)
    reference = arms.get('published, damping 10', [])
    print(
        '| arm (seeds) | test accuracy | p | largest residual | '
        'smallest cosine | iterations per step | CPU minutes |\n'
        '| --- | --- | --- | --- | --- | --- | --- |'
    )
    for arm, found in arms.items():
        test = [f['test'] for f in found]
        spread = statistics.stdev(test) if len(test) > 1 else 0.0
        p = ''
        if found is not reference and min(len(found), len(reference)) > 1:
            p = permutation_test(test, [f['test'] for f in reference]).p_value
            p = f'{p:.2f}'
        known = [
            [x for f in found for x in f[key] if x is not None]
            for key in ('residuals', 'cosines', 'iterations')
        ]
        solved = ['', '', '']
        if all(known):
            residuals, cosines, iterations = known
            solved = [
                f'{max(residuals):.2g}',
                f'{min(cosines):.2f}',
                f'{statistics.mean(iterations):.1f}',
            ]
        minutes = statistics.mean(f['cpu_seconds'] for f in found) / 60
        print(
            '|',
            ' | '.join(
                [
                    f'{arm} ({len(found)})',
                    f'{statistics.mean(test):.1f} ± {spread:.1f}',
                    p,
                    *solved,
                    f'{minutes:.1f}',
                ]
            ),
            '|',
        )


if __name__ == '__main__':
    main()
