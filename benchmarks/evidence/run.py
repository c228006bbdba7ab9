"""Does the bilevel stage pay on your own images? With the controls that matter.

One pretraining of a small network at 32 px on the unlabeled images; then
fine-tuning (FT), further pretraining with the stage's lower steps, training twice
with its upper steps, and BiSSL, with three stages and five fine-tunings each, all
searched alike. Within an hour on two cores for 500 labeled and 10,000 unlabeled
images; interrupted, the same command goes on::

    export BISSL_PRETEXT_DIR=path/to/images
    export BISSL_DOWNSTREAM_DIR=path/with/train/val/test BISSL_NUM_CLASSES=17
    python benchmarks/evidence/run.py
"""

import argparse
import os
import sys
import time
from pathlib import Path
from typing import Iterator, List, Optional

import numpy as np
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).parent))

import tables  # noqa: E402
from arms import StageSettings  # noqa: E402
from campaign import SEARCH, SEEDS, Campaign  # noqa: E402
from packs import FINE_TUNE, STAGE, Pack, read  # noqa: E402
from store import Task, run  # noqa: E402

from bissl_mm.analysis.permutation_test import permutation_test  # noqa: E402
from bissl_mm.analysis.workers import default_number  # noqa: E402
from bissl_mm.command_line import run_tool  # noqa: E402
from bissl_mm.datasets.look import PLACES  # noqa: E402
from bissl_mm.engine.checks.data_look import (check_data,  # noqa: E402
                                              console_logger)
from bissl_mm.utils.errors import ValueRefusal  # noqa: E402

NAMES = dict(FT='FT', further='further pretraining', twice='training twice',
             v='BiSSL+FT')
NAME = 'own'
#: Of fine-tuning on few images.
LEAST_STEPS = 200
VARIABLES = ('BISSL_PRETEXT_DIR', 'BISSL_DOWNSTREAM_DIR')


class OwnPack(Campaign):
    """Three stages of each arm from one pretraining."""

    arms_of_tables = tuple(NAMES)

    def _read_packs(self, args: argparse.Namespace) -> None:
        self.epochs = args.epochs
        self.pretext, root = (os.environ[name] for name in VARIABLES)
        # 15 epochs at least.
        number = Pack(NAME, root, 0).number
        epochs = max(15, round(LEAST_STEPS / max(1, number // 50)))
        self.packs = {NAME: Pack(NAME, root, epochs)}
        self.settings = StageSettings(num_alternations=args.alternations)

    def _pretraining(self, unit: int, epochs: Optional[int] = None) -> Task:
        return super()._pretraining(0, epochs)

    def own(self) -> Iterator[Task]:
        """Everything, in the order of need."""
        yield self._pretraining(0)
        yield from self._table(NAME, self.settings, self.arms_of_tables)


def parse_args(argv: List[str] = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--work-dir', type=Path,
                        default=Path('work_dirs/evidence-own'))
    parser.add_argument('--epochs', type=int, default=60,
                        help='of pretraining')
    parser.add_argument('--alternations', type=int, default=30,
                        help='of a stage')
    parser.add_argument('--stages', type=int, default=3)
    parser.add_argument('--workers', type=int, default=default_number(),
                        help='runs side by side, in one thread each')
    return parser.parse_args(argv)


def look() -> None:
    """Everything that the runs will meet, once."""
    for name in VARIABLES:
        if not os.environ.get(name):
            raise ValueRefusal(f'The environment variable {name} is not set. '
                               f'Type export {name}=FOLDER.')
    for name, places in ((STAGE, PLACES), (FINE_TUNE, ('test', ))):
        check_data(read(name), places, console_logger())


def report(campaign: OwnPack) -> None:
    """A line an arm, and how far BiSSL is ahead of the others."""
    runs = tables.final_runs(campaign.store.records)[NAME]
    ours = sum(runs['v'].values(), [])
    print(f'\n{"":20} test accuracy   means of stages')
    for arm, name in NAMES.items():
        values = sum(runs[arm].values(), [])
        means = ', '.join(f'{np.mean(v):.1f}' for v in runs[arm].values())
        line = f'{name:20} {np.mean(values):5.1f} +- ' \
            f'{np.std(values, ddof=1):.1f}    {means}'
        if arm != 'v':
            found = permutation_test(values, ours)
            line += f'   BiSSL+FT {np.mean(ours) - np.mean(values):+.1f}, ' \
                f'p = {found.p_value:.2g}'
        print(line)
    print('p values: permutation tests over fine-tunings. They speak of this '
          'pretraining\nalone, and take the fine-tunings of one stage for '
          'independent.')


def main(argv: List[str] = None) -> None:
    args = parse_args(argv)
    args.units = list(range(args.stages))
    args.runs, args.state = args.work_dir / 'runs.jsonl', args.work_dir
    args.work_dir.mkdir(parents=True, exist_ok=True)
    begin = time.time()
    look()
    campaign = OwnPack(args)
    stages = len(NAMES) - 1
    total = 1 + args.stages * stages + len(NAMES) * (
        len(SEARCH) * min(3, args.stages) + len(SEEDS) * args.stages)
    finished = len(campaign.store.records)
    with tqdm(total=total, initial=finished, unit='run') as bar:
        def done(task: Task, result: dict) -> None:
            bar.set_postfix_str(f'{task.key["kind"]} '
                                f'{NAMES.get(task.key.get("arm"), "")}')
            bar.update()

        run(campaign, ['own'], args.workers, done=done)
    report(campaign)
    print(f'{(time.time() - begin) / 60:.0f} minutes, {args.work_dir}')


if __name__ == '__main__':
    run_tool(main)
