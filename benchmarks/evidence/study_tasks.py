"""The tasks of a study: pretrainings, stages, fine-tunings, and their order."""

import hashlib
import json
import shutil
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import runs
from arms import STAGES, StageSettings
from packs import Pack
from regime import CHOICES, DEVELOPMENT, UNITS_OF_CHOICE, Point
from store import Store, Task

from bissl_mm.analysis.runs.fine_tune import Setting
from bissl_mm.utils.files import atomic_path

EPOCHS = 100
#: Of the fine-tunings of a unit.
SEEDS = (1, 2, 3, 4, 5)
RATES = (0.02, 0.05, 0.125, 0.3)
SEARCH = [Setting(lr, decay) for lr in RATES for decay in (0.0005, 0.005)]
#: Of the choice of the stage's settings, where fine-tuning is not searched.
FIXED = Setting(0.08, 0.002)
#: Of the wide search: the rates of the search, on all units and with three seeds each.
WIDE = [Setting(lr, FIXED.weight_decay) for lr in RATES]


class StudyTasks:
    """Makes tasks, and knows those that are done.

    Args:
        store (Store): Of the finished runs and their backbones.
        units (Sequence[int]): Numbers of the pretrainings.
    """

    epochs = EPOCHS

    def __init__(self, store: Store, units: Sequence[int]) -> None:
        self.store = store
        self.lists = store.state / 'lists'
        self.units = units
        self.packs: dict[str, Pack] = {}

    def take_pretrainings(self, folder: Path) -> None:
        """Copy finished ones to where this study looks for them.

        Args:
            folder (Path): With ``unit-6.pth`` and so on; what is there stays.
        """
        for file in folder.glob('unit-*.pth'):
            target = self._pretraining(int(file.stem.removeprefix('unit-'))).makes
            if not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                with atomic_path(target) as path:
                    shutil.copyfile(file, path)

    def _first(self, number: int) -> list[int]:
        return list(self.units)[:number]

    def _at(self, point: Point, unit: int, best: bool = False) -> Iterator[Task]:
        """The stage of a point and three fine-tunings."""
        stage = None
        if point.arm != 'FT':
            stage = self._stage(
                point.arm, point.settings, point.set, unit, point.epochs, best
            )
            yield stage
        chosen = (
            point.arm == 'v'
            and point.settings in CHOICES
            and point.set in DEVELOPMENT
            and point.epochs == self.epochs
            and unit in UNITS_OF_CHOICE
        )
        kind = 'best' if best else 'choose' if chosen else 'regime'
        for seed in (1, 2, 3):
            yield self._fine_tuning(
                point.arm,
                point.settings,
                point.set,
                unit,
                FIXED,
                seed,
                kind,
                stage,
                epochs=point.epochs,
            )

    def _table(
        self,
        name: str,
        settings: StageSettings,
        arms: Sequence[str],
        units: Sequence[int] | None = None,
    ) -> Iterator[Task]:
        units = self.units if units is None else units
        stages = {
            (arm, unit): self._stage(arm, settings, name, unit)
            for unit in units
            for arm in arms
            if arm in STAGES
        }
        yield from stages.values()
        pack = self.packs[name]
        search = {
            arm: [
                self._fine_tuning(
                    arm,
                    settings,
                    name,
                    unit,
                    setting,
                    0,
                    'search',
                    stages.get((arm, unit)),
                    test=False,
                )
                for setting in pack.search or SEARCH
                for unit in self._first(pack.search_units)
            ]
            for arm in arms
        }
        for tasks in search.values():
            yield from tasks
        for arm in arms:
            best = self._best(search[arm], pack)
            for unit in units if best else ():
                for seed in SEEDS:
                    yield self._fine_tuning(
                        arm,
                        settings,
                        name,
                        unit,
                        best,
                        seed,
                        'final',
                        stages.get((arm, unit)),
                    )

    def _wide(
        self, name: str, settings: StageSettings, arms: Sequence[str]
    ) -> Iterator[Task]:
        """Stages of a set, and fine-tunings at every learning rate."""
        for unit in self.units:
            for arm in arms:
                stage = None
                if arm in STAGES:
                    stage = self._stage(arm, settings, name, unit)
                    yield stage
                for setting in self.packs[name].search or WIDE:
                    for seed in (1, 2, 3):
                        yield self._fine_tuning(
                            arm, settings, name, unit, setting, seed, 'wide', stage
                        )

    def _best(self, tasks: list[Task], pack: Pack) -> Setting | None:
        """The setting with the best mean; None before all are known."""
        values: dict[tuple, list[float]] = {}
        for task in tasks:
            record = self.store.get(task)
            if record is None:
                return None
            values.setdefault((task.key['lr'], task.key['weight_decay']), []).append(
                record['val']
            )
        least = min(pack.search_units, len(self.units))
        if (
            len(values) < len(pack.search or SEARCH)
            or min(map(len, values.values())) < least
        ):
            return None
        # NaN, of a run that diverged, is the least.
        return Setting(*max(values, key=lambda s: max(-1.0, sum(values[s]))))

    def _pretraining(
        self, unit: int, epochs: int | None = None, pretext: str = 'simclr'
    ) -> Task:
        epochs = epochs or self.epochs
        other = {} if pretext == 'simclr' else dict(pretext=pretext)
        name = '-'.join(
            [
                f'pretraining-{unit}',
                *other.values(),
                *([str(epochs)] if epochs != self.epochs else []),
            ]
        )
        folder = self.store.state / name
        return Task(
            dict(kind='pretraining', unit=unit, epochs=epochs, **other),
            partial(runs.pretrain, self.pretext, unit, epochs, folder, pretext),
            folder / f'epoch_{epochs}.pth',
        )

    def _stage(
        self,
        arm: str,
        settings: StageSettings,
        name: str,
        unit: int,
        epochs: int | None = None,
        best: bool = False,
    ) -> Task:
        key = dict(
            kind='best-stage' if best else 'stage',
            arm=arm,
            settings=str(settings),
            set=name,
            unit=unit,
            **self._other(epochs),
        )
        digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[
            :12
        ]
        target = self.store.state / f'{name}-{arm}-u{unit}-{digest}.pth'
        return Task(
            key,
            partial(
                runs.stage,
                arm,
                settings,
                self.packs[name],
                unit,
                self.pretext,
                self._pretraining(unit, epochs, self.packs[name].pretext).makes,
                target,
                self.lists,
                best,
            ),
            target,
        )

    def _fine_tuning(
        self,
        arm: str,
        settings: StageSettings,
        name: str,
        unit: int,
        setting: Setting,
        seed: int,
        kind: str,
        stage: Task | None,
        test: bool = True,
        epochs: int | None = None,
    ) -> Task:
        source = stage or self._pretraining(unit, epochs, self.packs[name].pretext)
        key = dict(
            kind=kind,
            arm=arm,
            settings=str(settings) if stage else '',
            set=name,
            unit=unit,
            lr=setting.lr,
            weight_decay=setting.weight_decay,
            seed=seed,
            **self._other(epochs),
        )
        return Task(
            key,
            partial(
                runs.fine_tune,
                arm,
                self.packs[name],
                unit,
                source.makes,
                setting,
                seed,
                self.lists,
                self.store.state / 'fine_tune',
                test,
            ),
        )

    def _other(self, epochs: int | None) -> dict[str, int]:
        """Of the pretraining, where they are not the study's."""
        return {} if epochs in (None, self.epochs) else dict(epochs=epochs)

    def begins_with(self, task: Task) -> Path | None:
        """The backbone that it begins with, if any."""
        function = task.function
        needed = {'stage': 5, 'fine_tune': 3, 'transfer': 1}.get(function.func.__name__)
        return None if needed is None else function.args[needed]

    def is_ready(self, task: Task) -> bool:
        """Whether the backbone that it begins with is there."""
        path = self.begins_with(task)
        return path is None or path.exists()
