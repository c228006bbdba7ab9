"""The runs of PROTOCOL.md, side by side, in an order in which they are needed.

Goes on where it was: what ``--runs`` holds is not repeated, and a pretraining is
taken up at its last checkpoint. Backbones are kept in ``--state``::

    python benchmarks/evidence/campaign.py pretrain --data PACKS --workers 2
    python benchmarks/evidence/campaign.py choose arms --data PACKS --workers 2
"""

import argparse
import hashlib
import itertools
import json
import platform
import signal
import sys
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Callable, Dict, Iterator, List, Optional

import torch

sys.path.insert(0, str(Path(__file__).parent))

from arms import ARMS, STAGES, StageSettings  # noqa: E402
from packs import Pack  # noqa: E402
import runs  # noqa: E402

import bissl_mm  # noqa: E402
from bissl_mm.analysis.fine_tune import Setting  # noqa: E402
from bissl_mm.analysis.workers import start_workers  # noqa: E402

HERE = Path(__file__).parent
UNITS = range(6)
EPOCHS = 100
#: Of the fine-tunings of a unit.
SEEDS = (1, 2, 3, 4, 5)
SEARCH = [Setting(lr, decay) for lr in (0.02, 0.05, 0.125, 0.3)
          for decay in (0.0005, 0.005)]
#: Of the choice of the stage's settings, where fine-tuning is not searched.
FIXED = Setting(0.08, 0.002)
CHOICES = [StageSettings(weight, lr, number) for weight, lr, number
           in itertools.product((0.01, 0.03, 0.1), (0.03, 0.06), (30, 60))]


@dataclass
class Task:
    """A run: its key, which is what its record says of it, and its function.

    Attributes:
        key (dict): Plain values.
        function (Callable): Without arguments in the worker.
        makes (Path, optional): File without which it is not done.
    """

    key: Dict[str, object]
    function: Callable[[], Dict[str, object]]
    makes: Optional[Path] = None


class Store:
    """Records by key, and the folder of the backbones."""

    def __init__(self, path: Path, state: Path) -> None:
        self.path, self.state = path, state
        state.mkdir(parents=True, exist_ok=True)
        lines = path.read_text().splitlines() if path.exists() else []
        self.records = [json.loads(line) for line in lines]
        self._found = {self._text(r['key']): r for r in self.records}

    @staticmethod
    def _text(key: dict) -> str:
        return json.dumps(key, sort_keys=True)

    def get(self, task: Task) -> Optional[dict]:
        """Its record, if the file that it makes is there as well."""
        if task.makes is not None and not task.makes.exists():
            return None
        return self._found.get(self._text(task.key))

    def add(self, task: Task, result: dict) -> None:
        """Keep a record; a repeated run is kept beside the first."""
        record = dict(key=task.key, **result, version=bissl_mm.__version__,
                      torch=torch.__version__, machine=platform.machine(),
                      at=time.strftime('%Y-%m-%d %H:%M'))
        self.records.append(record)
        self._found[self._text(task.key)] = record
        with self.path.open('a') as file:
            file.write(json.dumps(record) + '\n')


class Campaign:
    """The runs of some steps; each yields tasks in the order of need.

    Args:
        args (Namespace): Of the command line.
    """

    arms_of_tables = ARMS
    epochs = EPOCHS

    def __init__(self, args: argparse.Namespace) -> None:
        self.store = Store(Path(args.runs), Path(args.state))
        self.lists = self.store.state / 'lists'
        self.units = args.units
        self._read_packs(args)

    def _read_packs(self, args: argparse.Namespace) -> None:
        data = Path(args.data)
        self.pretext = str(data / 'cifar10_unlabeled/images')
        self.packs = {pack.name: pack for pack in (
            Pack('sign_digits-5', str(data / 'sign_digits'), 150, 5),
            Pack('cifar10-25', str(data / 'cifar10_labeled'), 30, 25),
            Pack('dtd5', str(data / 'dtd5'), 40))}

    def pretrain(self) -> Iterator[Task]:
        for unit in self.units:
            yield self._pretraining(unit)

    def choose(self) -> Iterator[Task]:
        """Stages and fine-tunings that settle the stage's settings."""
        for name, unit in itertools.product(('sign_digits-5', 'cifar10-25'),
                                            [u for u in self.units if u < 2]):
            for settings in CHOICES:
                stage = self._stage('v', settings, name, unit)
                yield stage
                for seed in (1, 2, 3):
                    yield self._fine_tuning('v', settings, name, unit, FIXED,
                                            seed, 'choose', stage)

    def arms(self) -> Iterator[Task]:
        """The table of arms, set by set."""
        for name in ('sign_digits-5', 'cifar10-25'):
            yield from self._table(name, self._chosen())

    def held_back(self) -> Iterator[Task]:
        """The same on the set that nothing was chosen on."""
        yield from self._table('dtd5', self._chosen())

    def _chosen(self) -> StageSettings:
        scores = {}
        for settings in CHOICES:
            found = [r['val'] for r in self.store.records
                     if r['key']['kind'] == 'choose'
                     and r['key']['settings'] == str(settings)]
            if len(found) != 12:
                raise SystemExit(f'{settings} has {len(found)} of 12 runs. '
                                 'Run the step choose first.')
            scores[settings] = sum(found) / len(found)
        return max(scores, key=scores.get)

    def _table(self, name: str, settings: StageSettings) -> Iterator[Task]:
        stages = {(arm, unit): self._stage(arm, settings, name, unit)
                  for unit in self.units for arm in self.arms_of_tables
                  if arm in STAGES}
        yield from stages.values()
        search = {arm: [self._fine_tuning(
            arm, settings, name, unit, setting, 0, 'search',
            stages.get((arm, unit)), test=False)
            for setting in SEARCH for unit in self.units if unit < 3]
            for arm in self.arms_of_tables}
        for tasks in search.values():
            yield from tasks
        for arm in self.arms_of_tables:
            best = self._best(search[arm])
            for unit in self.units if best else ():
                for seed in SEEDS:
                    yield self._fine_tuning(
                        arm, settings, name, unit, best, seed, 'final',
                        stages.get((arm, unit)))

    def _best(self, tasks: List[Task]) -> Optional[Setting]:
        """The setting with the best mean; None before all are known."""
        values: Dict[tuple, List[float]] = {}
        for task in tasks:
            record = self.store.get(task)
            if record is None:
                return None
            values.setdefault((task.key['lr'], task.key['weight_decay']),
                              []).append(record['val'])
        least = min(3, len(self.units))
        if len(values) < len(SEARCH) \
                or min(map(len, values.values())) < least:
            return None
        return Setting(*max(values, key=lambda s: sum(values[s])))

    def _pretraining(self, unit: int) -> Task:
        folder = self.store.state / f'pretraining-{unit}'
        return Task(dict(kind='pretraining', unit=unit, epochs=self.epochs),
                    partial(runs.pretrain, self.pretext, unit, self.epochs,
                            folder), folder / f'epoch_{self.epochs}.pth')

    def _stage(self, arm: str, settings: StageSettings, name: str,
               unit: int) -> Task:
        key = dict(kind='stage', arm=arm, settings=str(settings), set=name,
                   unit=unit)
        digest = hashlib.sha256(json.dumps(
            key, sort_keys=True).encode()).hexdigest()[:12]
        target = self.store.state / f'{name}-{arm}-u{unit}-{digest}.pth'
        return Task(key, partial(
            runs.stage, arm, settings, self.packs[name], unit, self.pretext,
            self._pretraining(unit).makes, target, self.lists), target)

    def _fine_tuning(self, arm: str, settings: StageSettings, name: str,
                     unit: int, setting: Setting, seed: int, kind: str,
                     stage: Optional[Task], test: bool = True) -> Task:
        source = self._pretraining(unit) if stage is None else stage
        key = dict(kind=kind, arm=arm,
                   settings=str(settings) if stage else '', set=name,
                   unit=unit, lr=setting.lr,
                   weight_decay=setting.weight_decay, seed=seed)
        return Task(key, partial(
            runs.fine_tune, arm, self.packs[name], unit, source.makes,
            setting, seed, self.lists, self.store.state / 'fine_tune', test))

    def is_ready(self, task: Task) -> bool:
        """Whether the backbone that it begins with is there."""
        function = task.function
        needed = {'stage': 5, 'fine_tune': 3}.get(function.func.__name__)
        return needed is None or function.args[needed].exists()


def show(task: Task, result: dict) -> None:
    """A line about a finished run."""
    shown = {k: v for k, v in result.items()
             if k in ('val', 'test', 'seconds')}
    print(f'{task.key} {shown}', flush=True)


def run(campaign: Campaign, steps: List[str], workers: int,
        seconds: float = float('inf'),
        done: Callable[[Task, dict], None] = show) -> None:
    """All tasks of the steps, in order, as their needs are met."""
    begin = time.time()
    running: Dict[str, Task] = {}
    with start_workers(workers, ['mmpretrain']) as pool:
        while True:
            tasks = (task for step in steps
                     for task in getattr(campaign, step)())
            for task in tasks:
                if len(running) >= workers or time.time() - begin > seconds:
                    break
                text = json.dumps(task.key, sort_keys=True)
                if text not in running and campaign.store.get(task) is None \
                        and campaign.is_ready(task):
                    running[text] = task
                    pool.submit(text, task.function)
            if not running:
                break
            text, result = pool.next()
            task = running.pop(text)
            campaign.store.add(task, result)
            done(task, result)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('steps', nargs='+', choices=[
        'pretrain', 'choose', 'arms', 'held_back'])
    parser.add_argument('--data', required=True,
                        help='folder with cifar10_unlabeled and the sets')
    parser.add_argument('--runs', default=str(HERE / 'runs.jsonl'))
    parser.add_argument('--state', default='work_dirs/evidence')
    parser.add_argument('--units', type=int, nargs='+', default=list(UNITS))
    parser.add_argument('--workers', type=int, default=1)
    parser.add_argument('--seconds', type=float, default=float('inf'),
                        help='begin nothing new after this time')
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    run(Campaign(args), args.steps, args.workers, args.seconds)


if __name__ == '__main__':
    main()
