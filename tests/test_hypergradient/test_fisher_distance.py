"""The Fisher-weighted distance against automatic differentiation."""

import pytest
import torch

from bissl_mm.hypergradient import FisherDistance, SquaredDistance, materialize
from bissl_mm.utils.errors import Refusal


def draw(*shape, seed):
    return torch.randn(
        *shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )


LOWER = (draw(4, seed=1).requires_grad_(), draw(2, 3, seed=2).requires_grad_())
UPPER = (draw(4, seed=3).requires_grad_(), draw(2, 3, seed=4).requires_grad_())


def slopes(i):
    return [draw(4, seed=10 + i), 0.01 * draw(2, 3, seed=20 + i)]


def collected(number=3):
    regularizer = FisherDistance(0.3, steps=3, least=0.05, most=2.0)
    regularizer.tie(['a', 'b'], LOWER)
    for i in range(number):
        regularizer.add_gradient_(slopes(i), LOWER, UPPER)
    return regularizer


def expected_factors():
    means = [
        torch.stack([slopes(i)[j].square() for i in range(3)]).mean(0) for j in (0, 1)
    ]
    mean = torch.cat([m.flatten() for m in means]).mean()
    found = [(m / mean).clamp(0.05, 2.0) for m in means]
    # Both limits and the range between them occur.
    values = torch.cat([f.flatten() for f in found])
    assert (
        (values == 0.05).any() and (values == 2.0).any() and (values % 1 > 0.06).any()
    )
    return found


def test_it_is_the_plain_distance_until_the_gradients_are_collected():
    for grads, plain in ((slopes(7), slopes(7)),):
        found = collected(2).add_gradient_(grads, LOWER, UPPER)
        expected = SquaredDistance(0.3).add_gradient_(plain, LOWER, UPPER)
        for a, b in zip([*grads, *found], [*plain, *expected], strict=True):
            torch.testing.assert_close(a, b)
    assert collected(2).factors(LOWER) is None


def test_gradient_and_second_derivatives():
    regularizer, factors = collected(), expected_factors()
    value = 0.3 * sum(
        0.5 * (f * (p - d).square()).sum() for f, p, d in zip(factors, LOWER, UPPER)
    )
    gradient = torch.autograd.grad(value, LOWER)
    grads = slopes(9)
    pull = regularizer.add_gradient_(grads, LOWER, UPPER)
    for found, start, slope in zip(grads, slopes(9), gradient, strict=True):
        torch.testing.assert_close(found, start + slope)
    torch.testing.assert_close(pull.value, value.detach())
    length = torch.cat([g.flatten() for g in gradient]).norm()
    torch.testing.assert_close(pull.length, length)
    # The gradient is linear in the difference.
    diagonal = torch.cat([f.flatten() for f in factors])
    torch.testing.assert_close(
        materialize(regularizer.metric(LOWER, UPPER), LOWER), torch.diag(diagonal)
    )
    # A part of the tensors, as hypergradient.params selects it.
    vector = (draw(2, 3, seed=30),)
    (found,) = regularizer.cross(vector, LOWER[1:], UPPER[1:])
    torch.testing.assert_close(found, factors[1] * vector[0])


def test_more_steps_change_nothing_and_a_resumed_run_has_the_same():
    regularizer, begun = collected(), collected(1)
    regularizer.add_gradient_(slopes(5), LOWER, UPPER)
    other = FisherDistance(0.3, steps=3, least=0.05, most=2.0)
    other.tie(['a', 'b'], LOWER)
    other.load_state_dict(begun.state_dict())
    for i in (1, 2):
        other.add_gradient_(slopes(i), LOWER, UPPER)
    for a, b in zip(regularizer.factors(LOWER), other.factors(LOWER), strict=True):
        assert torch.equal(a, b)


def test_without_gradients_all_are_tied_alike():
    regularizer = FisherDistance(steps=1)
    regularizer.tie(['a'], LOWER[:1])
    regularizer.add_gradient_([torch.zeros(4).double()], LOWER[:1], UPPER[:1])
    assert regularizer.factors(LOWER[:1])[0].tolist() == [1.0] * 4


@pytest.mark.parametrize(
    'settings, text',
    [
        (dict(least=0.0), 'least=0.0 and most=10.0 must enclose 1'),
        (dict(most=0.5), 'most=0.5'),
        (dict(steps=0), 'steps'),
    ],
)
def test_settings_that_make_no_sense(settings, text):
    with pytest.raises(Refusal, match=text):
        FisherDistance(**settings)


def test_unknown_tensors_are_named():
    with pytest.raises(Refusal, match='BiSSLOptimWrapperConstructor'):
        FisherDistance().add_gradient_(slopes(0), LOWER, UPPER)
