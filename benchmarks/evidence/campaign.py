"""The runs of PROTOCOL.md, side by side, in an order in which they are needed.

Goes on where it was: what ``--runs`` holds is not repeated, and a pretraining is
taken up at its last checkpoint. Backbones are kept in ``--state``::

    python benchmarks/evidence/campaign.py pretrain --data PACKS --workers 2
    python benchmarks/evidence/campaign.py choose arms --data PACKS --workers 2
"""

import argparse
import itertools
import signal
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import runs  # noqa: E402
from arms import ARMS, STAGES, StageSettings  # noqa: E402
from packs import Pack  # noqa: E402
from regime import CHOICES, DEVELOPMENT, FACTORS, Point, chosen, points  # noqa: E402
from store import Store, Task, run  # noqa: E402
from study_packs import OTHERS, other_packs, study_packs  # noqa: E402
from study_tasks import FIXED, SEEDS, StudyTasks  # noqa: E402

HERE = Path(__file__).parent
UNITS = range(6)
HELD_BACK = ('dtd5',)
#: The same with few labels: exploratory, at one setting of fine-tuning.
FEW = ('dtd5-5',)
SETS = [*DEVELOPMENT, *HELD_BACK, *FEW, *OTHERS]
#: lambda and T of the stages whose best alternation is taken.
BEST = ((0.03, 60), (0.1, 60), (0.3, 60), (0.03, 200))
JACOBIAN = ('discard', 'v', 'published', 'gn-0.1', 'gn-0.3', 'gn-1')
LONGER = ('further-long', 'twice-long', 'v-long')
EVERY_ARM = ('FT', 'FT-long', *STAGES)
STEPS = (
    'pretrain',
    'choose',
    'arms',
    'held_back',
    'common',
    'regime',
    'transfer',
    'best',
    'jacobian',
    'thrifty',
    'longer',
    'wide',
    'others',
)
#: Those of the wide search: the controls of what is told to users.
COMPARED = ('FT', 'further', 'twice', 'twice-2x', 'v')


class Campaign(StudyTasks):
    """The runs of some steps; each yields tasks in the order of need.

    Args:
        args (Namespace): Of the command line.
    """

    arms_of_tables: Sequence[str] = ARMS
    #: To which the tables and the regime are restricted.
    _arms: Sequence[str] = EVERY_ARM
    _factors: Sequence[str] = FACTORS

    def __init__(self, args: argparse.Namespace) -> None:
        super().__init__(Store(Path(args.runs), Path(args.state)), args.units)
        self._read_packs(args)

    def _read_packs(self, args: argparse.Namespace) -> None:
        self.sets = [name for name in DEVELOPMENT if name in args.sets]
        self._held_back = [name for name in HELD_BACK if name in args.sets]
        self._few = [name for name in FEW if name in args.sets]
        self._factors = args.factors
        self._others = [name for name in OTHERS if name in args.sets]
        self._arms = args.arms
        self.data = Path(args.data)
        self.pretext = str(self.data / 'cifar10_unlabeled/images')
        self.packs = study_packs(self.data)

    def _table(
        self,
        name: str,
        settings: StageSettings,
        arms: Sequence[str],
        units: Sequence[int] | None = None,
    ) -> Iterator[Task]:
        arms = [arm for arm in arms if arm in self._arms]
        return super()._table(name, settings, arms, units)

    def pretrain(self) -> Iterator[Task]:
        for unit in self.units:
            yield self._pretraining(unit)

    def choose(self) -> Iterator[Task]:
        """Stages and fine-tunings that settle the stage's settings."""
        for name, unit in itertools.product(self.sets, self._first(2)):
            for settings in CHOICES:
                yield from self._at(Point('v', settings, name, self.epochs), unit)

    def arms(self) -> Iterator[Task]:
        """The table of arms, set by set."""
        for name in self.sets:
            yield from self._table(name, self._chosen(), self.arms_of_tables)

    def held_back(self) -> Iterator[Task]:
        """The same on the set that nothing was chosen on."""
        for name in self._held_back:
            yield from self._table(name, self._chosen(), self.arms_of_tables)

    def common(self) -> Iterator[Task]:
        """The arms at one setting of fine-tuning, that of the regime."""
        settings = self._chosen()
        names = [*self.sets, *self._held_back, *self._few]
        arms = [arm for arm in self.arms_of_tables if arm in self._arms]
        for name, arm, unit in itertools.product(names, arms, self.units):
            stage = None
            if arm in STAGES:
                stage = self._stage(arm, settings, name, unit)
                yield stage
            for seed in SEEDS:
                yield self._fine_tuning(
                    arm, settings, name, unit, FIXED, seed, 'common', stage
                )

    def regime(self) -> Iterator[Task]:
        """The stage's settings one by one, by arm."""
        for unit, name in itertools.product(self._first(2), self.sets):
            for point in points(self._chosen(), name, self.epochs, self._factors):
                if point.epochs != self.epochs:
                    yield self._pretraining(unit, point.epochs)
                yield from self._at(point, unit)

    def best(self) -> Iterator[Task]:
        """The alternation that the estimate of transfer likes best."""
        for unit, name in itertools.product(self._first(2), self.sets):
            for weight, number in BEST:
                settings = replace(
                    self._chosen(), reg_weight=weight, num_alternations=number
                )
                yield from self._at(Point('v', settings, name, self.epochs), unit, True)

    def transfer(self) -> Iterator[Task]:
        """The estimate for every backbone that was fine-tuned."""
        steps = (self.pretrain, self.choose, self.regime, self.arms, self.held_back)
        seen = set()
        for task in itertools.chain.from_iterable(step() for step in steps):
            if task.key['kind'] not in ('pretraining', 'stage'):
                continue
            names = [*self.sets, *self._held_back]
            for name in [task.key['set']] if 'set' in task.key else names:
                if (name, task.makes) not in seen:
                    seen.add((name, task.makes))
                    yield Task(
                        dict(task.key, kind='transfer', set=name),
                        partial(
                            runs.transfer, self.packs[name], task.makes, self.lists
                        ),
                    )

    def jacobian(self) -> Iterator[Task]:
        """Whether the implicit Jacobian matters beyond v."""
        settings = self._chosen()
        for name in self.sets:
            yield from self._table(name, settings, JACOBIAN)
            factor = self._times_slower(settings, name)
            longer = factor and replace(
                settings, num_alternations=round(factor * settings.num_alternations)
            )
            if longer:
                yield from self._table(name, longer, ('v-time', 'discard-time'))

    def thrifty(self) -> Iterator[Task]:
        """The thrifty structure in proportion, beside the default."""
        settings = self._chosen()
        short = replace(
            settings,
            num_upper_steps=2,
            num_lower_steps=3,
            num_alternations=round(0.4 * settings.num_alternations),
        )
        # As many relaxation times as the default.
        steps = [s.num_alternations * s.num_lower_steps for s in (settings, short)]
        as_far = replace(short, reg_weight=settings.reg_weight * steps[0] / steps[1])
        for name in self.sets:
            yield from self._table(name, short, ('thrifty',))
            yield from self._table(name, as_far, ('thrifty-R',))

    def longer(self) -> Iterator[Task]:
        """The longest stage whose best alternation was looked at."""
        weight, number = BEST[-1]
        settings = replace(self._chosen(), reg_weight=weight, num_alternations=number)
        for name in [*self.sets, *self._held_back]:
            yield from self._table(name, settings, LONGER)

    def wide(self) -> Iterator[Task]:
        """The arms once more, by a search on all units."""
        self.packs.update(other_packs(self.data))
        dense = [name for name in self._others if self.packs[name].task != Pack.task]
        for name in [*self._held_back, *self.sets, *dense]:
            arms = [arm for arm in COMPARED if arm in self._arms]
            if name in dense:
                arms = [arm for arm in arms if arm != 'twice-2x']
            settings = replace(self._chosen(), **self.packs[name].stage)
            yield from self._wide(name, settings, arms)

    def others(self) -> Iterator[Task]:
        """Other pretext tasks, and dense tasks: a sign, not a proof."""
        packs = other_packs(self.data)
        self.packs.update(packs)
        for name in self._others:
            pack = packs[name]
            # Those that start from SimCLR's pretrainings have all of them.
            units = self.units if pack.pretext == 'simclr' else self._first(3)
            if pack.pretext != 'simclr':
                yield from (
                    self._pretraining(unit, None, pack.pretext) for unit in units
                )
            yield from self._table(
                name,
                replace(self._chosen(), **pack.stage),
                ('FT', 'further', 'twice', 'v'),
                units,
            )

    def _times_slower(self, settings: StageSettings, name: str) -> float | None:
        """Of the slowest solved system, against v, over processor time."""
        found = {}
        for arm in JACOBIAN:
            tasks = [self._stage(arm, settings, name, unit) for unit in self.units]
            records = [self.store.get(task) for task in tasks]
            if None in records:
                return None
            found[arm] = sum(r.get('cpu_seconds', r['seconds']) for r in records)
        return max(found.values()) / found['v']

    def _chosen(self) -> StageSettings:
        found = chosen(self.store.records)
        if found is None:
            raise SystemExit(
                'The settings of the stage are not chosen yet. '
                'Run the step choose first.'
            )
        return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('steps', nargs='+', choices=STEPS)
    parser.add_argument(
        '--data', required=True, help='folder with cifar10_unlabeled and the sets'
    )
    parser.add_argument('--runs', default=str(HERE / 'runs.jsonl'))
    parser.add_argument('--state', default='work_dirs/evidence')
    parser.add_argument('--units', type=int, nargs='+', default=list(UNITS))
    parser.add_argument(
        '--sets',
        nargs='+',
        choices=SETS,
        default=SETS,
        help='to which the steps are restricted',
    )
    parser.add_argument(
        '--arms',
        nargs='+',
        choices=EVERY_ARM,
        default=EVERY_ARM,
        help='to which the tables are restricted',
    )
    parser.add_argument(
        '--factors',
        nargs='+',
        choices=FACTORS,
        default=FACTORS,
        help='to which the regime is restricted',
    )
    parser.add_argument('--commit', help='of the code, where git cannot tell')
    parser.add_argument('--workers', type=int, default=1)
    parser.add_argument(
        '--seconds',
        type=float,
        default=float('inf'),
        help='begin nothing new after this time',
    )
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    campaign = Campaign(args)
    campaign.take_pretrainings(HERE / 'pretrainings')
    campaign.store.commit = args.commit or campaign.store.commit
    run(campaign, args.steps, args.workers, args.seconds)


if __name__ == '__main__':
    main()
