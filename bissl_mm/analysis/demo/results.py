"""What the arms reached, with the stages as units."""

import numpy as np

from ..permutation_test import significance
from ..runs.comparison import difference
from .tasks import ARMS

#: What the p values are.
CAVEAT = (
    'p values: permutation tests over all fine-tunings, as if these '
    'were independent; those of one stage are not, and there is one '
    'pretraining.'
)


def with_stages(outcome: dict, num_stages: int) -> dict:
    """Add means of the stages and differences of the last arm to the others.

    Args:
        outcome (dict): Of :func:`bissl_mm.analysis.runs.comparison.compare`, the
            seeds of the first stage first.
        num_stages (int): Stages of each arm that has one. The first arm has
            none: its seeds are split alike.

    Returns:
        dict: The same with ``stage_means`` of each arm and ``comparisons``,
        each with ``against``, what
        :func:`~bissl_mm.analysis.runs.comparison.difference` gives and
        ``stage_differences``.
    """
    arms = [
        dict(arm, stage_means=_means(arm['test'], num_stages))
        for arm in outcome['arms']
    ]
    ours = arms[-1]
    comparisons = []
    for other in arms[:-1]:
        stages = [
            second - first
            for first, second in zip(
                other['stage_means'], ours['stage_means'], strict=False
            )
        ]
        comparisons.append(
            dict(
                against=other['name'],
                stage_differences=stages,
                **difference(outcome['metric'], other, ours),
            )
        )
    return dict(outcome, arms=arms, comparisons=comparisons)


def _means(values: list[float], number: int) -> list[float]:
    if not values:
        return []
    return [float(np.mean(part)) for part in np.array_split(values, number)]


def arm_line(arm: dict, metric: str) -> str:
    """Mean, deviation and stages of an arm."""
    stages = ', '.join(f'{mean:.1f}' for mean in arm['stage_means'])
    of = 'seeds of one pretraining' if arm['name'] == ARMS[0] else 'stages'
    return (
        f'{arm["name"]:>14}: {arm["mean"]:.2f} +- {arm["std"]:.2f} % '
        f'{metric}; {of}: {stages}'
    )


def comparison_line(found: dict, ours: str = ARMS[-1]) -> str:
    """How far the method is ahead of an arm."""
    stages = found['stage_differences']
    ahead = sum(value > 0 for value in stages)
    return (
        f'{ours} against {found["against"]}: {found["difference"]:+.2f}, '
        f'ahead in {ahead} of {len(stages)} stages '
        f'({", ".join(f"{value:+.1f}" for value in stages)}); '
        f'over fine-tunings {significance(found)}'
    )
