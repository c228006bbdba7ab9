"""What solver, damping and Hessian batch do to a real run's hypergradient.

The bilevel stage of a config runs as it is; before chosen upper phases it is
halted, and the linear systems of that moment are solved in many ways on fresh
pretext batches. The run itself does not notice::

    python benchmarks/hypergradient_study.py \
        configs/bissl/bissl-simclr_r18_b64-10x4-10t_cifar10-48px_published.py \
        --at 1 4 --json study.json
"""

import argparse
import os
import platform
import tempfile

import torch
from mmengine.config import Config, DictAction
from mmengine.hooks import Hook
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from system_study import Study

import bissl_mm.engine  # noqa: F401  (registers)
from bissl_mm.analysis.json_file import write_json


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config')
    parser.add_argument(
        '--at', type=int, nargs='+', default=[1, 4], help='alternations, counted from 1'
    )
    parser.add_argument('--damping', type=float, nargs='+', default=[1.0, 10.0, 100.0])
    parser.add_argument(
        '--size',
        type=int,
        nargs='+',
        default=[16, 32, 64],
        help='samples of the Hessian, at most a pretext '
        'batch; the reference has four whole batches',
    )
    parser.add_argument(
        '--size-damping',
        type=float,
        default=10.0,
        help='damping of the comparison of sizes',
    )
    parser.add_argument(
        '--rhs',
        type=int,
        default=2,
        help='downstream batches a system is solved for, one after the other',
    )
    parser.add_argument('--cfg-options', nargs='+', action=DictAction)
    parser.add_argument('--json')
    return parser.parse_args()


class StudyHook(Hook):
    """Measures before the upper phases of chosen alternations."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.records = []

    def before_upper_phase(self, runner: Runner) -> None:
        alternation = runner.train_loop.iter + 1
        if alternation not in self.args.at:
            return
        # What is measured must not move the run's own draws.
        with torch.random.fork_rng():
            study = Study(runner, self.args)
            print(
                f'\nAlternation {alternation}\n\n| solver | damping | '
                'residual | cosine | curvature | products | CPU s |\n'
                '| --- | --- | --- | --- | --- | --- | --- |'
            )
            solvers = study.solvers()
            print(
                '\n| samples | damping | products | residual | CPU s | '
                'spread '
                '| cosine of corrections | off the reference | v off it |\n'
                '| --- | --- | --- | --- | --- | --- | --- | --- | --- |'
            )
            sizes = study.sizes(self.args.size_damping)
        self.records.append(dict(alternation=alternation, solvers=solvers, sizes=sizes))
        self._save()
        if alternation >= max(self.args.at):
            runner.train_loop.stop_training = True

    def _save(self) -> None:
        """After every moment, so that an interruption loses one at most."""
        if self.args.json:
            write_json(
                self.args.json,
                dict(
                    config=os.path.basename(self.args.config),
                    points=self.records,
                    threads=torch.get_num_threads(),
                    cores=os.cpu_count(),
                    torch=torch.__version__,
                    machine=platform.processor() or platform.machine(),
                ),
            )


def main() -> None:
    args = parse_args()
    cfg = Config.fromfile(args.config)
    cfg.merge_from_dict(args.cfg_options or {})
    cfg.val_dataloader = cfg.val_evaluator = cfg.val_cfg = None
    cfg.test_dataloader = cfg.test_evaluator = cfg.test_cfg = None
    init_default_scope(cfg.get('default_scope', 'bissl_mm'))
    hook = StudyHook(args)
    with tempfile.TemporaryDirectory() as folder:
        cfg.work_dir = folder
        runner = Runner.from_cfg(cfg)
        runner.register_hook(hook)
        runner.train()


if __name__ == '__main__':
    main()
