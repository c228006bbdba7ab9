"""The arms of a comparison: their settings, runs and results."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

import numpy as np

from .fine_tune import Setting


@dataclass
class ArmResult:
    """Results of one arm.

    Attributes:
        name (str): Name of the arm.
        checkpoint (str): Its backbone.
        search (list[dict]): Validation metric of every setting of the search.
        setting (Setting): The setting with the best validation metric.
        seeds (list[int]): Seeds of the final runs.
        val (list[float]): Best validation metric of each final run, percent.
        test (list[float]): Test metric at that epoch, percent.
        seconds (float): Wall time of the arm.
    """

    name: str
    checkpoint: str
    search: list[dict] = field(default_factory=list)
    setting: Setting | None = None
    seeds: list[int] = field(default_factory=list)
    val: list[float] = field(default_factory=list)
    test: list[float] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def mean(self) -> float:
        """Mean test metric; NaN if there are no results or if one is NaN."""
        return float(np.mean(self.test)) if self.test else math.nan

    @property
    def std(self) -> float:
        """Sample standard deviation over seeds."""
        if not np.isfinite(self.test).all():
            return math.nan
        return float(np.std(self.test, ddof=1)) if len(self.test) > 1 else 0.0

    def to_dict(self) -> dict:
        """Plain data for a JSON file."""
        return dict(asdict(self), mean=self.mean, std=self.std)


def draw_settings(
    number: int,
    lr_range: Sequence[float],
    weight_decay_range: Sequence[float],
    seed: int,
    grid: Sequence[int] | None = None,
) -> list[Setting]:
    """Log-uniform random settings, as in B.2, arXiv:2410.02387, or those of a grid.

    Args:
        number (int): Number of settings.
        lr_range (Sequence[float]): Lowest and highest learning rate.
        weight_decay_range (Sequence[float]): Lowest and highest weight decay.
        seed (int): Seed of the draw. All arms of a comparison use the same.
        grid (Sequence[int], optional): Numbers of learning rates and of weight
            decays, evenly spaced by their logarithms (thesis, 7.1.2). If the grid
            has more than ``number`` settings, so many of them are drawn. Defaults
            to None: random settings.
    """
    rng = np.random.default_rng(seed)
    if grid is not None:
        axes = (
            np.geomspace(bounds[0], bounds[1], points).tolist()
            for bounds, points in zip((lr_range, weight_decay_range), grid, strict=True)
        )
        found = [Setting(*point) for point in itertools.product(*axes)]
        if number >= len(found):
            return found
        chosen = rng.choice(len(found), number, replace=False)
        return [found[i] for i in sorted(chosen)]

    def draw(bounds: Sequence[float]) -> float:
        low, high = np.log(bounds[0]), np.log(bounds[1])
        return float(np.exp(rng.uniform(low, high)))

    return [Setting(draw(lr_range), draw(weight_decay_range)) for _ in range(number)]


@dataclass(eq=False)
class Run:
    """A run of an arm: one of the search (seed 0), or a final one."""

    arm: 'Arm'
    checkpoint: str
    setting: Setting
    seed: int
    key: str = ''

    def __str__(self) -> str:
        return (
            f'arm {self.arm.name}, learning rate {self.setting.lr:.4g}, '
            f'weight decay {self.setting.weight_decay:.4g}, '
            f'seed {self.seed}'
        )


class Arm:
    """The runs of one arm, which may end in any order.

    Args:
        name (str): Name of the arm.
        checkpoints (Sequence[str]): Its backbones. The search uses the first.
            The final seeds are divided among all of them, in order.
        settings (Sequence[Setting]): Settings of the search.
        seeds (Sequence[int]): Seeds of the final runs.
    """

    def __init__(
        self,
        name: str,
        checkpoints: Sequence[str],
        settings: Sequence[Setting],
        seeds: Sequence[int],
    ) -> None:
        self.name, self.checkpoints = name, checkpoints
        self.search = [Run(self, checkpoints[0], setting, 0) for setting in settings]
        self.final: list[Run] = []
        self.seeds = seeds
        self.setting: Setting | None = None
        self._results: dict[Run, dict] = {}

    def take(self, run: Run, result: dict) -> list[Run]:
        """Store a result.

        Returns:
            list[Run]: The final runs, once the search is complete.
        """
        self._results[run] = result
        if self.final or not all(r in self._results for r in self.search):
            return []
        numbers = [
            run for run in self.search if math.isfinite(self._results[run]['val'])
        ]
        if not numbers:
            # No setting was chosen, so there are no final runs.
            return []
        best = max(numbers, key=lambda r: self._results[r]['val'])
        self.setting = best.setting
        files, total = self.checkpoints, len(self.seeds)
        self.final = [
            Run(self, files[i * len(files) // total], best.setting, seed)
            for i, seed in enumerate(self.seeds)
        ]
        return self.final

    def result(self) -> ArmResult:
        """All results, in the order of settings and seeds."""
        search = [self._results[run] for run in self.search]
        final = [self._results[run] for run in self.final]
        return ArmResult(
            self.name,
            self.checkpoints[0],
            search=[
                dict(asdict(run.setting), val=result['val'])
                for run, result in zip(self.search, search, strict=True)
            ],
            setting=self.setting,
            seeds=[run.seed for run in self.final],
            val=[result['val'] for result in final],
            test=[result['test'] for result in final],
            seconds=sum(result['seconds'] for result in search + final),
        )
