"""The exact permutation test against scipy and by hand."""

import numpy as np
import pytest
from scipy.stats import permutation_test

from bissl_mm.analysis.permutation_test import permutation_p_value


def test_separated_arms_have_the_smallest_possible_value():
    # Two of the C(10, 5) = 252 assignments are as extreme.
    value = permutation_p_value([1, 2, 3, 4, 5], [6, 7, 8, 9, 10])
    assert value == pytest.approx(2 / 252)


def test_equal_arms_give_one():
    assert permutation_p_value([1., 2.], [1., 2.]) == 1.


@pytest.mark.parametrize('seed', range(4))
def test_value_equals_scipys_exact_test(seed):
    rng = np.random.default_rng(seed)
    first, second = rng.normal(0, 1, 6), rng.normal(0.8, 1, 5)
    expected = permutation_test(
        (first, second), lambda x, y: np.mean(x) - np.mean(y),
        alternative='two-sided', n_resamples=np.inf)
    # scipy doubles the smaller tail; the paper counts both tails.
    both = np.mean(np.abs(expected.null_distribution) >=
                   abs(expected.statistic) - 1e-12)
    assert permutation_p_value(first.tolist(), second.tolist()) == \
        pytest.approx(both)


def test_impossible_inputs_are_named():
    with pytest.raises(ValueError, match='got 0 and 2'):
        permutation_p_value([], [1., 2.])
    with pytest.raises(ValueError, match='too many'):
        permutation_p_value([1.] * 20, [2.] * 20)
