"""Where the stage gains: tables and pictures of the regime's runs.

A cell is the mean over units of the mean of three fine-tunings. ``v`` stands
beside ``further`` and ``twice`` of the same point; what an arm does not see is
not varied for it.
"""

import math
from collections import defaultdict
from dataclasses import replace
from functools import cache
from pathlib import Path

import matplotlib
import numpy as np
from arms import StageSettings
from packs import STAGE
from packs import read as read_config
from regime import (
    EPOCHS,
    LABELS,
    LOWER_STEPS,
    TIMES,
    UPPER_LRS,
    WEIGHTS,
    Point,
    relevant,
)
from scipy import stats

from bissl_mm.engine.steps.relaxation import learning_rates

matplotlib.use('Agg')
import matplotlib.pyplot as plt  # noqa: E402

#: Of the pretrainings, where they are not varied.
USUAL_EPOCHS = 100
ARMS = ('FT', 'further', 'twice', 'v')
#: What v is held against in a picture, and how it is called there.
CONTROLS = dict(FT='fine-tuning', further='further pretraining', twice='training twice')


@cache
def relaxation_times(settings: StageSettings) -> float:
    """R of a stage: lambda times the lower learning rates, summed, over one
    minus momentum."""
    cfg = read_config(STAGE)
    settings.put(cfg)
    steps = settings.num_alternations * settings.num_lower_steps
    optimizer = cfg.optim_wrapper.lower.optimizer
    rates = sum(learning_rates(cfg, optimizer.lr, steps))
    return settings.reg_weight * rates / (1 - optimizer.momentum)


class Results:
    """Test accuracies and estimates of transfer by point and unit.

    Args:
        records (list[dict]): Of ``runs.jsonl``.
        frozen (StageSettings): Where one factor is varied at a time.
    """

    def __init__(self, records: list[dict], frozen: StageSettings) -> None:
        self.frozen = frozen
        # The choice was made on other units than the regime, if there is one.
        kinds = {r['key']['kind'] for r in records}
        kind = 'regime' if 'regime' in kinds else 'choose'
        self.units = sorted(
            {r['key']['unit'] for r in records if r['key']['kind'] == kind}
        )
        self.tests: dict[Point, dict[int, list[float]]] = defaultdict(
            lambda: defaultdict(list)
        )
        self.estimates: dict[tuple[Point, int], float] = {}
        #: What :class:`TransferHook` said at the end of stages that export theta_P.
        at_the_end: dict[tuple[Point, int], float] = {}
        for record in records:
            key = record['key']
            if key.get('unit') not in self.units:
                continue
            if key['kind'] in ('choose', 'regime'):
                self.tests[self._point(key)][key['unit']].append(record['test'])
            elif key['kind'] == 'transfer':
                self.estimates[self._point(key), key['unit']] = record['neighbours']
            elif key.get('arm') in ('further', 'v') and record.get('neighbours'):
                at_the_end[self._point(key), key['unit']] = record['neighbours'][-1][1]
        self.estimates = {**at_the_end, **self.estimates}

    def _point(self, key: dict) -> Point:
        settings = (
            StageSettings.parse(key['settings']) if key.get('settings') else self.frozen
        )
        return Point(
            key.get('arm', 'FT'), settings, key['set'], key.get('epochs', USUAL_EPOCHS)
        )

    def at(
        self, arm: str, settings: StageSettings, name: str, epochs: int = USUAL_EPOCHS
    ) -> dict[int, float]:
        """Means of a point by unit; empty where it was not run."""
        point = Point(arm, settings, name, epochs)
        point = replace(point, settings=relevant(point, self.frozen))
        return {
            unit: float(np.mean(values))
            for unit, values in self.tests.get(point, {}).items()
        }

    def gain(
        self, settings: StageSettings, name: str, over: str, epochs: int = USUAL_EPOCHS
    ) -> float | None:
        """Of v over another arm, the mean over the units that have both."""
        ours, other = (self.at(arm, settings, name, epochs) for arm in ('v', over))
        units = sorted(set(ours) & set(other))
        return float(np.mean([ours[u] - other[u] for u in units])) if units else None


def text(results: Results) -> str:
    """All tables of the regime."""
    parts = [
        '## The regime',
        '',
        f'Means over units {" and ".join(map(str, results.units))} of three '
        'fine-tunings each, at one '
        'setting of fine-tuning: differences below two points are '
        'within the noise of a cell.',
        '',
    ]
    for name in LABELS:
        tables = [
            _table(results, title, rows)
            for title, rows in _factors(results.frozen, name).items()
            # The frozen setting is a point of every factor.
            if sum(bool(results.at('v', *row)) for row in rows.values()) > 1
        ]
        if tables:
            parts += ['\n\n'.join([f'### {name}', *tables]), '']
    return '\n'.join([*parts, correlations(results)])


def _factors(frozen: StageSettings, name: str) -> dict[str, dict]:
    family = name.rsplit('-', 1)[0]
    return {
        'T': {
            n: (replace(frozen, num_alternations=n), name, USUAL_EPOCHS) for n in TIMES
        },
        'lambda': {
            w: (replace(frozen, reg_weight=w), name, USUAL_EPOCHS) for w in WEIGHTS
        },
        'labels a class': {
            n: (frozen, f'{family}-{n}', USUAL_EPOCHS) for n in LABELS[name]
        },
        'upper learning rate': {
            lr: (replace(frozen, upper_lr=lr), name, USUAL_EPOCHS) for lr in UPPER_LRS
        },
        'N_L': {
            n: (replace(frozen, num_lower_steps=n), name, USUAL_EPOCHS)
            for n in LOWER_STEPS
        },
        'epochs of pretraining': {n: (frozen, name, n) for n in EPOCHS},
    }


def _table(results: Results, title: str, rows: dict) -> str:
    lines = [
        f'| {title} | R | {" | ".join(ARMS)} | v - further | v - twice | units |',
        '| --- ' * 9 + '|',
    ]
    for value, (settings, name, epochs) in rows.items():
        found = {arm: results.at(arm, settings, name, epochs) for arm in ARMS}
        # An arm may be ahead of v in the runs: over the units that v has.
        of_units = [
            [mean for unit, mean in means.items() if unit in found['v']]
            for means in found.values()
        ]
        cells = [f'{np.mean(means):.1f}' if means else '–' for means in of_units]
        gains = [
            results.gain(settings, name, over, epochs) for over in ('further', 'twice')
        ]
        cells += ['–' if g is None else f'{g:+.1f}' for g in gains]
        lines.append(
            f'| {value} | {relaxation_times(settings):.2g} | '
            f'{" | ".join(cells)} | {len(found["v"])} |'
        )
    return '\n'.join(lines)


def correlations(results: Results) -> str:
    """Rank correlation of the estimate of transfer with the test accuracy.

    Over the stages of one set, number of labels and unit, where the estimate
    is to choose; a median over these.
    """
    groups: dict[tuple[str, int], list[tuple[float, float]]] = defaultdict(list)
    for (point, unit), estimate in results.estimates.items():
        tests = results.tests.get(point, {}).get(unit)
        if tests and point.arm != 'FT':
            groups[point.set, unit].append((estimate, float(np.mean(tests))))
    lines = [
        '### Does the estimate of transfer tell?',
        '',
        "| set | unit | stages | Spearman's rank correlation | test "
        'accuracy of the best estimate | mean | best |',
        '| --- ' * 7 + '|',
    ]
    for (name, unit), pairs in sorted(groups.items()):
        if len(pairs) < 5:
            continue
        estimates, tests = map(np.array, zip(*pairs))
        rank = stats.spearmanr(estimates, tests).statistic
        lines.append(
            f'| {name} | {unit} | {len(pairs)} | {rank:.2f} | '
            f'{tests[estimates.argmax()]:.1f} | {tests.mean():.1f} | '
            f'{tests.max():.1f} |'
        )
    return '\n'.join(lines) if len(lines) > 4 else ''


def heat_maps(results: Results, folder: Path) -> list[Path]:
    """The gain of v over its controls by T and lambda, a picture a set."""
    paths = []
    for name in LABELS:
        grids = [_grid(results, name, over) for over in CONTROLS]
        if all(np.isfinite(grid).sum() < 2 for grid in grids):
            continue
        figure, axes = plt.subplots(1, 3, figsize=(14, 4), layout='constrained')
        for axis, grid, title in zip(axes, grids, CONTROLS.values()):
            _draw(axis, grid, results.frozen)
            axis.set_title(f'v minus {title}')
        figure.suptitle(f'{name}: gain in test accuracy, small: R')
        path = folder / f'regime-{name}.png'
        figure.savefig(path, dpi=110)
        plt.close(figure)
        paths.append(path)
    return paths


def _grid(results: Results, name: str, over: str) -> np.ndarray:
    found = [
        [
            results.gain(
                replace(results.frozen, num_alternations=t, reg_weight=w), name, over
            )
            for w in WEIGHTS
        ]
        for t in TIMES
    ]
    return np.array([[math.nan if g is None else g for g in row] for row in found])


def _draw(axis: plt.Axes, grid: np.ndarray, frozen: StageSettings) -> None:
    axis.imshow(grid, cmap='RdBu', vmin=-6, vmax=6, aspect='auto')
    axis.set_xticks(range(len(WEIGHTS)), WEIGHTS)
    axis.set_yticks(range(len(TIMES)), TIMES)
    axis.set_xlabel('lambda')
    axis.set_ylabel('T')
    for (row, column), gain in np.ndenumerate(grid):
        if math.isnan(gain):
            continue
        times = relaxation_times(
            replace(frozen, num_alternations=TIMES[row], reg_weight=WEIGHTS[column])
        )
        axis.text(column, row, f'{gain:+.1f}\n', ha='center', va='center')
        axis.text(column, row, f'\n{times:.2g}', ha='center', va='center', fontsize=7)
