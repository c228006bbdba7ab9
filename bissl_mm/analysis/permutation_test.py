"""The paper's test of significance."""

import math
from itertools import combinations
from typing import Sequence

import numpy as np

from ..utils.errors import ValueRefusal

#: Assignments above which enumerating them all would take minutes.
MAX_ASSIGNMENTS = 2_000_000


def permutation_p_value(first: Sequence[float],
                        second: Sequence[float]) -> float:
    """Exact two-sided, two-sample permutation test of equal means.

    Args:
        first (Sequence[float]): Results of one arm, one a seed.
        second (Sequence[float]): Results of the other.

    Returns:
        float: Share of all assignments of the pooled results to the arms
        whose means differ at least as much as the observed ones.

    Raises:
        ValueError: If an arm is empty or there are too many assignments.

    Source:
        B.6, arXiv:2410.02387, with 10 results an arm.
    """
    if not first or not second:
        raise ValueRefusal('permutation_p_value: each arm needs at least one '
                           f'result, got {len(first)} and {len(second)}.')
    total = math.comb(len(first) + len(second), len(first))
    if total > MAX_ASSIGNMENTS:
        raise ValueRefusal(
            f'permutation_p_value: {total} assignments are too many to '
            'enumerate; pass at most 11 results an arm.')
    pooled = np.array([*first, *second], dtype=np.float64)
    observed = abs(np.mean(first) - np.mean(second))
    chosen = np.array(
        list(combinations(range(len(pooled)), len(first))), dtype=np.intp)
    sums = pooled[chosen].sum(1)
    means = sums / len(first)
    others = (pooled.sum() - sums) / len(second)
    # Rounding must not turn an equal difference into a smaller one.
    slack = 1e-12 * max(1., np.abs(pooled).max())
    return float(np.mean(np.abs(means - others) >= observed - slack))
