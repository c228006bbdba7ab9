"""Results of the arms, with stages as the units of comparison."""

import numpy as np

from ..permutation_test import significance
from ..runs.comparison import difference
from .tasks import ARMS

#: A sentence that says what the p values mean.
CAVEAT = (
    'The p values are from permutation tests over all fine-tunings. These '
    'tests treat fine-tunings as independent. Fine-tunings of one stage are '
    'not, and all stages share one pretraining.'
)


def with_stages(outcome: dict, num_stages: int) -> dict:
    """Add the means of the stages, and the last arm's lead over the others.

    Args:
        outcome (dict): Result of
            :func:`bissl_mm.analysis.runs.comparison.compare`. The seeds of the
            first stage come first.
        num_stages (int): Stages of each arm that has stages. The first arm has
            none; its seeds are grouped in the same way.

    Returns:
        dict: ``outcome`` with ``stage_means`` for each arm, and with
        ``comparisons``. Each comparison has ``against``, the result of
        :func:`~bissl_mm.analysis.runs.comparison.difference`, and
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
    """A line with mean, deviation and stage means of an arm."""
    stages = ', '.join(f'{mean:.1f}' for mean in arm['stage_means'])
    of = 'seeds of one pretraining' if arm['name'] == ARMS[0] else 'stages'
    return (
        f'{arm["name"]:>14}: {arm["mean"]:.2f} +- {arm["std"]:.2f} % '
        f'{metric}; {of}: {stages}'
    )


def comparison_line(found: dict, ours: str = ARMS[-1]) -> str:
    """A line that says how far the method is ahead of an arm."""
    stages = found['stage_differences']
    ahead = sum(value > 0 for value in stages)
    return (
        f'{ours} against {found["against"]}: {found["difference"]:+.2f}, '
        f'ahead in {ahead} of {len(stages)} stages '
        f'({", ".join(f"{value:+.1f}" for value in stages)}); '
        f'over fine-tunings {significance(found)}'
    )
