"""The paper's significance test."""

import inspect
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from ..utils.errors import ValueRefusal

#: Up to this number, all assignments are enumerated, in about ten seconds. With
#: 11 results per arm there are 705,432.
MAX_EXACT = 1_000_000
#: Number of draws beyond. The standard error at p = 0.05 is then 0.0007.
NUM_RESAMPLES = 100_000
SEED = 0


@dataclass(frozen=True)
class PermutationTest:
    """What :func:`permutation_test` found.

    Attributes:
        p_value (float): The two-sided p value.
        num_assignments (int): Number of possible assignments of the results to
            the arms.
        num_resamples (int): Number of assignments used: all of them, or those
            that were drawn.
    """

    p_value: float
    num_assignments: int
    num_resamples: int

    @property
    def is_exact(self) -> bool:
        """Whether all assignments were used."""
        return self.num_resamples == self.num_assignments

    def __str__(self) -> str:
        if self.is_exact:
            return 'exact permutation test'
        return (
            f'sampled permutation test, {self.num_resamples} of '
            f'{self.num_assignments} assignments drawn with seed {SEED}'
        )


def permutation_test(
    first: Sequence[float], second: Sequence[float]
) -> PermutationTest:
    """Two-sided, two-sample permutation test of equal means.

    The pooled results are assigned to the arms in all ways. The p value is the
    share of assignments whose means differ at least as much as the observed
    ones. If there are more than :data:`MAX_EXACT` assignments,
    :data:`NUM_RESAMPLES` are drawn with a fixed seed, and the observed one
    counts as one more.

    Args:
        first (Sequence[float]): Results of one arm, one per seed.
        second (Sequence[float]): Results of the other arm.

    Returns:
        PermutationTest: The p value and how it was computed.

    Raises:
        ValueError: If an arm has fewer than two results, or one of them is
            NaN or infinite.

    Source:
        B.6, arXiv:2410.02387, with 10 results per arm.
    """
    numbers = len(first), len(second)
    if min(numbers) < 2:
        raise ValueRefusal(
            'The permutation test needs at least two results of each arm, '
            f'but got {numbers[0]} and {numbers[1]}. Run more seeds (--seeds).'
        )
    arms = [np.asarray(arm, dtype=np.float64) for arm in (first, second)]
    for name, arm in zip(('first', 'second'), arms, strict=True):
        bad = arm[~np.isfinite(arm)]
        if bad.size:
            raise ValueRefusal(
                f'The permutation test needs finite results, but {bad.size} '
                f'of the {len(arm)} results of the {name} arm are not, for '
                f'example {bad[0]}. Repeat those runs, or leave them out.'
            )
    found = stats.permutation_test(
        arms,
        _distance,
        vectorized=True,
        alternative='greater',
        n_resamples=_num_resamples(numbers),
        batch=10_000,
        **_random_numbers(),
    )
    # The results are rounded, which makes equal differences unequal. scipy's
    # own slack fits the size of the difference, not that of the results.
    extreme = found.null_distribution >= found.statistic - _slack(arms)
    total = math.comb(sum(numbers), numbers[0])
    if _num_resamples(numbers) == total:
        return PermutationTest(float(extreme.mean()), total, total)
    return PermutationTest(
        (int(extreme.sum()) + 1) / (len(extreme) + 1), total, len(extreme)
    )


def sign_flip_test(
    differences: Sequence[float], results: Sequence[float] = ()
) -> PermutationTest:
    """Two-sided, exact sign-flip test for pairs: is the mean difference zero?

    Each difference gets both signs, in all combinations. The p value is the
    share of combinations whose mean is at least as far from zero as the
    observed one.

    Args:
        differences (Sequence[float]): Second minus first result of each pair,
            for at most 20 pairs.
        results (Sequence[float]): The results of both arms. The rounding of
            a difference is that of the results, which may be much larger.
            Defaults to none: the differences are exact.

    Raises:
        ValueError: For fewer than two or more than 20 differences, or one
            that is NaN or infinite.
    """
    given = np.asarray(differences, dtype=np.float64)
    if not 2 <= given.size <= 20 or not np.isfinite(given).all():
        raise ValueRefusal(
            'The sign-flip test needs 2 to 20 finite differences, but got '
            f'{given.tolist()}. Run more units, or repeat those that failed.'
        )
    total = 2**given.size
    found = stats.permutation_test(
        (given,),
        _distance_of_one,
        permutation_type='samples',
        vectorized=True,
        alternative='greater',
        n_resamples=total,
        batch=10_000,
    )
    slack = _slack([np.asarray(results, dtype=np.float64)]) if len(results) else 0.0
    slack = max(slack, _slack([given]))
    extreme = found.null_distribution >= found.statistic - slack
    return PermutationTest(float(extreme.mean()), total, len(extreme))


def significance(outcome: dict) -> str:
    """The p value of a comparison in words, or the reason why there is none.

    Args:
        outcome (dict): Result of
            :func:`bissl_mm.analysis.runs.comparison.compare`.
    """
    if outcome['p_value'] is None:
        return f'no p value: {outcome["no_p_value"]}'
    return f'{outcome["test"]}, p = {outcome["p_value"]:.4g}'


def _num_resamples(numbers: Sequence[int]) -> int:
    total = math.comb(sum(numbers), numbers[0])
    return total if total <= MAX_EXACT else NUM_RESAMPLES


def _random_numbers() -> dict[str, Any]:
    """The argument for a generator has another name from scipy 1.15 on."""
    known = inspect.signature(stats.permutation_test).parameters
    name = 'rng' if 'rng' in known else 'random_state'
    return {name: np.random.default_rng(SEED)}


def _distance(first: np.ndarray, second: np.ndarray, axis: int = -1) -> np.ndarray:
    return np.abs(first.mean(axis) - second.mean(axis))


def _distance_of_one(sample: np.ndarray, axis: int = -1) -> np.ndarray:
    return np.abs(sample.mean(axis))


def _slack(arms: Sequence[np.ndarray]) -> float:
    """Distances that differ by less than this are equal except for rounding.

    Many metrics are in single precision. Its rounding must not make an equal
    difference a smaller one, either.
    """
    pooled = np.concatenate(arms)
    largest = np.abs(pooled).max()
    with np.errstate(over='ignore'):
        is_single = (pooled == pooled.astype(np.float32)).all()
    if is_single and (pooled != np.round(pooled)).any():
        return 2 * float(np.finfo(np.float32).eps) * largest
    return 1e-12 * largest
