"""The points at which the regime is looked at, see PROTOCOL.md."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from arms import StageSettings

DEVELOPMENT = ('sign_digits-5', 'cifar10-25')
CHOICES = [
    StageSettings(weight, lr, number)
    for weight, lr, number in itertools.product(
        (0.01, 0.03, 0.1), (0.03, 0.06), (30, 60)
    )
]
#: Pretrainings that the choice was made on.
UNITS_OF_CHOICE = (0, 1)
#: Runs of each: two sets, two units, three fine-tunings.
RUNS_OF_A_CHOICE = 12
TIMES = (5, 10, 30, 60, 200)
WEIGHTS = (0.001, 0.01, 0.03, 0.1, 0.3, 1.0)
UPPER_LRS = (0.01, 0.03, 0.06, 0.12)
LOWER_STEPS = (2, 5, 10, 20)
EPOCHS = (5, 20, 100, 200)
#: In the order in which they are run; ``grid`` is T and lambda together, and
#: ``longest`` its row of the highest T.
FACTORS = ('labels', 'grid', 'upper_lr', 'lower_steps', 'epochs', 'longest')
#: Labels a class, by the development set that they are drawn from.
LABELS = {'cifar10-25': (2, 5, 10, 25, 100), 'sign_digits-5': (2, 5, 10, 20)}
#: Steps of fine-tuning, whatever the number of labels.
STEPS = 150


def chosen(records: list[dict]) -> StageSettings | None:
    """The setting with the best mean validation accuracy, None before all
    runs of the choice are there."""
    scores: dict[StageSettings, float] = {}
    for settings in CHOICES:
        found = [
            r['val']
            for r in records
            if r['key']['kind'] == 'choose'
            and r['key']['settings'] == str(settings)
            and r['key']['unit'] in UNITS_OF_CHOICE
        ]
        if len(found) != RUNS_OF_A_CHOICE:
            return None
        scores[settings] = sum(found) / len(found)
    return max(scores, key=scores.__getitem__)


@dataclass(frozen=True)
class Point:
    """An arm at a point.

    Attributes:
        arm (str): One of ``arms.ARMS``.
        settings (StageSettings): Of the stage.
        set (str): Name of a pack.
        epochs (int): Of the pretraining.
    """

    arm: str
    settings: StageSettings
    set: str
    epochs: int


def points(
    frozen: StageSettings, base: str, epochs: int, factors: Sequence[str] = FACTORS
) -> Iterator[Point]:
    """Those of a development set, in the order in which they are run.

    Args:
        frozen (StageSettings): Where one factor is varied at a time.
        base (str): The development set.
        epochs (int): Of the pretraining, where they are not varied.
        factors (Sequence[str]): Which ones, of ``FACTORS``.
    """
    seen = set()
    for point in _all(frozen, base, epochs, factors):
        point = replace(point, settings=relevant(point, frozen))
        if point not in seen:
            seen.add(point)
            yield point


def _all(
    frozen: StageSettings, base: str, epochs: int, factors: Sequence[str]
) -> Iterator[Point]:
    def arms(
        names: str,
        settings: StageSettings = frozen,
        name: str = base,
        number: int = epochs,
    ) -> Iterator[Point]:
        for arm in names.split():
            yield Point(arm, settings, name, number)

    def grid(times: Sequence[int]) -> Iterator[Point]:
        for time, weight in itertools.product(times, WEIGHTS):
            yield from arms(
                'v', replace(frozen, num_alternations=time, reg_weight=weight)
            )
        for time in times:
            yield from arms('further twice', replace(frozen, num_alternations=time))

    family = base.rsplit('-', 1)[0]
    of_factors = dict(
        labels=[
            arms('FT further twice v', name=f'{family}-{number}')
            for number in LABELS[base]
        ],
        grid=[grid(TIMES[:-1])],
        upper_lr=[arms('twice v', replace(frozen, upper_lr=lr)) for lr in UPPER_LRS],
        lower_steps=[
            arms('further v', replace(frozen, num_lower_steps=number))
            for number in LOWER_STEPS
        ],
        epochs=[arms('FT further twice v', number=number) for number in EPOCHS],
        # They take as much time as all others.
        longest=[grid(TIMES[-1:])],
    )
    for factor in factors:
        yield from itertools.chain.from_iterable(of_factors[factor])


def relevant(point: Point, frozen: StageSettings) -> StageSettings:
    """Without what the arm does not see, so that nothing is run twice.

    Args:
        point (Point): An arm and its settings.
        frozen (StageSettings): Gives the values of what is not seen.
    """
    unseen = {
        'further': ('reg_weight', 'upper_lr', 'num_upper_steps'),
        'twice': ('reg_weight', 'num_lower_steps'),
        'FT': tuple(frozen.__dict__),
    }.get(point.arm, ())
    return replace(point.settings, **{name: getattr(frozen, name) for name in unseen})
