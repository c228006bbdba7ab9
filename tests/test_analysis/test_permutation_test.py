"""The permutation test against enumeration in whole numbers and by hand."""

import itertools
import math
from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest

from bissl_mm.analysis import permutation_test as module
from bissl_mm.analysis.permutation_test import (
    permutation_test,
    sign_flip_test,
    significance,
)


def exact_p_value(first, second):
    """The p value in rational arithmetic, without any rounding."""
    pooled = [Fraction(x) for x in (*first, *second)]
    total, n, m = sum(pooled), len(first), len(second)

    def distance(part):
        return abs(sum(part) / n - (total - sum(part)) / m)

    observed = distance(pooled[:n])
    found = [distance(c) >= observed for c in combinations(pooled, n)]
    return sum(found) / len(found)


def test_separated_arms_have_the_smallest_possible_value():
    # Two of the C(10, 5) = 252 assignments are as extreme.
    found = permutation_test([1, 2, 3, 4, 5], [6, 7, 8, 9, 10])
    assert found.p_value == pytest.approx(2 / 252)
    assert found.is_exact and str(found) == 'exact permutation test'


def test_equal_arms_give_one():
    assert permutation_test([1.0, 2.0], [1.0, 2.0]).p_value == 1.0
    assert permutation_test([55.1] * 3, [55.1] * 4).p_value == 1.0
    # Nothing was learned in any run, and no result has a rounding.
    assert permutation_test([0.0] * 3, [0.0] * 3).p_value == 1.0
    assert sign_flip_test([0.0] * 3).p_value == 1.0


@pytest.mark.parametrize('scale', [1e-9, 1.0, 1e6])
@pytest.mark.parametrize('seed', range(4))
def test_value_is_that_of_rational_arithmetic_with_ties(seed, scale):
    rng = np.random.default_rng(seed)
    # Percentages of 60 images in steps of a tenth, so most differences are equal.
    first, second = rng.integers(300, 320, 5), rng.integers(305, 325, 4)
    found = permutation_test(
        (first * 0.1 * scale).tolist(), (second * 0.1 * scale).tolist()
    )
    assert found.p_value == pytest.approx(
        exact_p_value(first.tolist(), second.tolist()), abs=1e-12
    )


@pytest.mark.parametrize('seed', range(3))
def test_metrics_of_single_precision_tie_where_their_counts_do(seed):
    rng = np.random.default_rng(seed)
    first, second = rng.integers(300, 310, 5), rng.integers(303, 313, 5)

    def accuracy(counts):
        return [
            float(np.float32(100) * np.float32(c) / np.float32(600)) for c in counts
        ]

    assert permutation_test(accuracy(first), accuracy(second)).p_value == pytest.approx(
        exact_p_value(first.tolist(), second.tolist()), abs=1e-12
    )


@pytest.mark.parametrize('number', [12, 20, 40])
def test_many_seeds_are_sampled_and_it_is_said(number, monkeypatch):
    monkeypatch.setattr(module, 'NUM_RESAMPLES', 3000)
    rng = np.random.default_rng(1)
    first, second = rng.normal(50, 1, number), rng.normal(51, 1, number)
    found = permutation_test(first, second)
    assert not found.is_exact and found.num_resamples == module.NUM_RESAMPLES
    assert f'{module.NUM_RESAMPLES} of {found.num_assignments} ' in str(found)
    assert permutation_test(first, second) == found
    # No drawn assignment of the shifted arms is as far apart.
    apart = permutation_test(first, second + 100.0)
    assert 0 < apart.p_value <= 2 / module.NUM_RESAMPLES


def test_drawn_assignments_agree_with_all_of_them(monkeypatch):
    rng = np.random.default_rng(2)
    first, second = rng.normal(0, 1, 7), rng.normal(0.8, 1, 6)
    exact = permutation_test(first, second)
    monkeypatch.setattr(module, 'MAX_EXACT', 1000)
    monkeypatch.setattr(module, 'NUM_RESAMPLES', 1700)
    drawn = permutation_test(first, second)
    assert exact.is_exact and not drawn.is_exact
    # Five standard errors.
    assert drawn.p_value == pytest.approx(exact.p_value, abs=0.06)


@pytest.mark.parametrize('bad', [float('nan'), float('inf'), -float('inf')])
def test_results_that_are_no_numbers_are_refused(bad):
    for arms in (([55.0, bad, 54.0], [55.0, 54.0]), ([55.0, 54.0], [bad, bad])):
        with pytest.raises(ValueError, match=f'finite results.*example {bad}. Repeat'):
            permutation_test(*arms)


@pytest.mark.parametrize('arms', [([], [1.0, 2.0]), ([1.0, 2.0], [3.0])])
def test_one_result_is_too_few(arms):
    with pytest.raises(
        ValueError, match=f'got {len(arms[0])} and {len(arms[1])}. Run more seeds'
    ):
        permutation_test(*arms)


def test_a_p_value_and_its_absence_are_put_in_words():
    assert (
        significance(dict(p_value=0.5, test='exact permutation test'))
        == 'exact permutation test, p = 0.5'
    )
    assert (
        significance(dict(p_value=None, no_p_value='one seed.'))
        == 'no p value: one seed.'
    )


def flipped(differences):
    """The sign-flip test by its definition."""
    mean = abs(sum(differences))
    sums = [
        abs(sum(s * d for s, d in zip(signs, differences)))
        for signs in itertools.product((1, -1), repeat=len(differences))
    ]
    return sum(s >= mean - 1e-9 for s in sums) / len(sums)


@pytest.mark.parametrize(
    'differences',
    [
        (1.0, 2.0, 3.0, 4.0, 5.0, 6.0),
        (1.0, -2.0, 0.5, 0.5),
        (0.0, 0.0),
        (3.0, -3.0),
        (2.1, 2.1, 2.1, -2.1, 0.3, 0.3, 1.7),
        (-1.0, -2.0, -0.3),
    ],
)
def test_sign_flips_are_all_looked_at(differences):
    found = sign_flip_test(differences)
    assert found.p_value == pytest.approx(flipped(differences), abs=1e-12)
    assert found.is_exact and found.num_assignments == 2 ** len(differences)


def test_six_differences_of_one_sign():
    assert sign_flip_test([0.1, 0.2, 0.3, 0.1, 0.2, 0.3]).p_value == 2 / 64


def test_sign_flips_of_results_in_single_precision():
    first = [float(np.float32(x)) for x in (70.1, 71.3, 70.2, 71.7, 70.1)]
    second = [float(np.float32(x)) for x in (70.0, 70.1, 71.2, 73.0, 70.8)]
    exact = [-0.1, -1.2, 1.0, 1.3, 0.7]
    differences = [b - a for a, b in zip(first, second, strict=True)]
    assert differences == pytest.approx(exact, abs=1e-5)
    expected = flipped([round(10 * d) for d in exact])
    assert sign_flip_test(differences, first + second).p_value == expected == 0.5625


@pytest.mark.parametrize('differences', [(1.0,), (1.0, math.nan), [1.0] * 21])
def test_what_has_no_sign_flip_test(differences):
    with pytest.raises(ValueError, match='2 to 20 finite differences'):
        sign_flip_test(differences)
