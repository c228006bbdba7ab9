"""What the look over the data costs: once, and per step.

Draws small JPEG files, in class folders for a training and a validation part
and unlabeled for the pretext task, and times the look that every stage begins
with. Then steps of fine-tuning are timed in one process, alternating between
runs that looked before and runs that did not::

    python benchmarks/data_look.py --json benchmarks/data_look.json
"""

import argparse
import json
import logging
import os
import platform
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from PIL import Image

import bissl_mm.models  # noqa: F401
from bissl_mm.analysis.json_file import write_json
from bissl_mm.engine.checks.data_look import check_data

ROOT = Path(__file__).resolve().parents[1]
CONFIG = ROOT / 'configs/fine_tune/r18_64px.py'
KINDS = 10


def draw(root: Path, number: int) -> None:
    """``number`` files: 80% for training, 20% for validation."""
    rng = np.random.default_rng(0)
    for i in range(number):
        part = 'val' if i % 5 == 4 else 'train'
        folder = root / part / f'kind{i // 5 % KINDS}'
        folder.mkdir(parents=True, exist_ok=True)
        size = rng.integers(64, 97, 2)
        small = rng.integers(0, 256, (8, 8, 3)).astype(np.uint8)
        Image.fromarray(small).resize(tuple(size.tolist())).save(folder / f'{i:06}.jpg')


def small_config(root: Path, work_dir: Path) -> Config:
    """The shipped config of fine-tuning on narrow layers."""
    os.environ.update(BISSL_DOWNSTREAM_DIR=str(root), BISSL_NUM_CLASSES=str(KINDS))
    cfg = Config.fromfile(CONFIG)
    cfg.merge_from_dict(
        {
            'model.backbone.stem_channels': 8,
            'model.backbone.base_channels': 8,
            'model.backbone.init_cfg': None,
            'model.head.in_channels': 64,
            'train_dataloader.num_workers': 0,
            'train_dataloader.persistent_workers': False,
            'val_dataloader.num_workers': 0,
            'val_dataloader.persistent_workers': False,
            'train_dataloader.batch_size': 16,
        }
    )
    for key in ('test_dataloader', 'test_cfg', 'test_evaluator'):
        cfg.pop(key)
    cfg.work_dir = str(work_dir)
    return cfg


class Steps:
    """A run whose training steps can be timed a few at a time."""

    def __init__(self, cfg: Config, name: str, look: bool) -> None:
        cfg = cfg.copy()
        cfg.experiment_name = name
        cfg.log_level = 'ERROR'
        self.runner = Runner.from_cfg(cfg)
        if look:
            check_data(cfg, ('train', 'val'), silent())
        self.runner.optim_wrapper = self.runner.build_optim_wrapper(cfg.optim_wrapper)
        self.loader = Runner.build_dataloader(cfg.train_dataloader, seed=0)
        self.batches = iter(self.loader)

    def take(self, number: int) -> float:
        """Seconds per step over so many."""
        begin = time.perf_counter()
        for _ in range(number):
            try:
                batch = next(self.batches)
            except StopIteration:
                self.batches = iter(self.loader)
                batch = next(self.batches)
            self.runner.model.train_step(batch, self.runner.optim_wrapper)
        return (time.perf_counter() - begin) / number


def silent() -> logging.Logger:
    """A logger that nobody reads."""
    logger = logging.Logger('silent')
    logger.addHandler(logging.NullHandler())
    return logger


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--number', type=int, default=10000, help='files')
    parser.add_argument(
        '--rounds', type=int, default=30, help='alternations of both kinds of run'
    )
    parser.add_argument('--steps', type=int, default=8, help='a round')
    parser.add_argument('--json', help='file for the outcome')
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        draw(root / 'data', args.number)
        cfg = small_config(root / 'data', root)
        outcome = measure(cfg, args)
    print(json.dumps(outcome, indent=1))
    if args.json:
        write_json(args.json, outcome)


def measure(cfg: Config, args: argparse.Namespace) -> dict:
    """Seconds of the look, and of a step with and without it before."""
    seconds = []
    for _ in range(2):
        begin = time.perf_counter()
        check_data(cfg, ('train', 'val'), silent())
        seconds.append(time.perf_counter() - begin)
    runs = dict(without=Steps(cfg, 'without', False), after=Steps(cfg, 'after', True))
    for run in runs.values():
        run.take(3)
    times = {name: [] for name in runs}
    for i in range(args.rounds):
        for name in sorted(runs, reverse=bool(i % 2)):
            times[name].append(runs[name].take(args.steps))
    ratios = [a / b for a, b in zip(times['after'], times['without'], strict=True)]
    return dict(
        command=' '.join(['python', *sys.argv]),
        files=args.number,
        look_seconds_first=seconds[0],
        look_seconds_second=seconds[1],
        ms_per_step={
            name: 1e3 * statistics.median(found) for name, found in times.items()
        },
        ratio_of_steps=statistics.median(ratios),
        rounds=args.rounds,
        threads=torch.get_num_threads(),
        torch=torch.__version__,
        machine=platform.machine(),
    )


if __name__ == '__main__':
    main()
