"""What serves speed alone can be switched off, and the numbers stay.

``docs/switches.md`` lists the switches.
"""

import pytest
import torch
from pretext_models import bissl_model, sgd_wrapper
from small_models import views

from bissl_mm.hypergradient import (
    MinresSolver,
    RecyclingSolver,
    Status,
    relative_residual,
)
from bissl_mm.hypergradient.second_order.lean import LeanLayers
from bissl_mm.hypergradient.second_order.small_images.layers import SmallNorm
from bissl_mm.hypergradient.second_order.small_images.taps import TapConv
from bissl_mm.hypergradient.solvers.extrapolation.secant_model import ModelStep


def product(curvature, **settings):
    """The operator of a phase, times one vector, through ResNet-18."""
    model = bissl_model('SimCLR', torch.float64)
    wrapper = sgd_wrapper(
        model, hypergradient=dict(curvature=curvature, damping=10.0, **settings)
    )
    wrapper.begin_upper_phase(model, [dict(inputs=views(6), data_samples=None)], seed=0)
    generator = torch.Generator().manual_seed(1)
    vector = tuple(
        torch.randn(p.shape, generator=generator, dtype=p.dtype)
        for p in model.lower_backbone()
    )
    return wrapper.system.bound.operator(vector)


def forbid(monkeypatch, *places):
    """Make every call at these places fail."""

    def forbidden(*args, **kwargs):
        raise AssertionError('in use')

    for owner, name in places:
        monkeypatch.setattr(owner, name, forbidden)


SMALL = [(TapConv, 'input_grad'), (TapConv, 'weight_grad'), (SmallNorm, 'sums')]
LEAN = [(LeanLayers, '__torch_function__'), *SMALL]


@pytest.mark.parametrize('curvature', ['hessian', 'gauss_newton'])
@pytest.mark.parametrize(
    'setting, parts',
    [(dict(small_image_kernels=False), SMALL), (dict(second_order='torch'), LEAN)],
    ids=['small_image_kernels', 'second_order'],
)
def test_products_without_a_part_are_the_same(curvature, setting, parts, monkeypatch):
    expected = product(curvature)
    forbid(monkeypatch, *parts)
    found = product(curvature, **setting)
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-7, atol=1e-9)
    with pytest.raises(AssertionError, match='in use'):
        product(curvature)


def near_identity(size=400):
    """A symmetric matrix near the identity, for which estimates are right."""
    generator = torch.Generator().manual_seed(3)
    noise = torch.randn(size, size, generator=generator, dtype=torch.float64)
    return torch.eye(size).double() + 0.05 * (noise + noise.T) / size**0.5


def solved(tolerance, **settings):
    """Products, statuses and true residuals of eight solves in one phase."""
    matrix = near_identity()
    bound = RecyclingSolver(20, tolerance, **settings).bind(lambda v: (matrix @ v[0],))
    solutions, residuals, generator = [], [], torch.Generator().manual_seed(0)
    for step in range(8):
        if step == 4:
            bound = bound.solver.bind(bound.operator, bound.state_dict())
        rhs = (torch.randn(len(matrix), generator=generator, dtype=torch.float64),)
        solutions.append(bound.solve(rhs))
        residuals.append(relative_residual(bound.operator, solutions[-1].value, rhs))
    return solutions, residuals


def test_recycling_without_extrapolation_gives_the_same(monkeypatch):
    expected, _ = solved(1e-10)
    guessed, _ = solved(0.03)
    assert Status.ESTIMATED in {s.status for s in guessed}
    forbid(monkeypatch, (ModelStep, '__init__'))
    found, _ = solved(1e-10, extrapolate=False)
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a.value[0], b.value[0], rtol=0, atol=1e-7)
    # Each residual is known, and the products still serve later solves.
    known, residuals = solved(0.03, extrapolate=False)
    assert {s.status for s in known} == {Status.CONVERGED}
    for solution, true in zip(known, residuals, strict=True):
        assert true == pytest.approx(solution.residual_norm, rel=1e-6)
        assert true <= 0.03
    assert sum(s.num_iters for s in known) > sum(s.num_iters for s in guessed)
    # A solve with an earlier right-hand side costs nothing.
    bound = RecyclingSolver(20, 1e-8, 40, False).bind(
        lambda v: (near_identity() @ v[0],)
    )
    rhs = (torch.ones(400).double(),)
    assert bound.solve(rhs).num_iters and not bound.solve(rhs).num_iters
    with pytest.raises(AssertionError, match='in use'):
        solved(0.03)


@pytest.mark.parametrize('iters', [1, 3, 6])
def test_the_first_solve_without_extrapolation_is_minres(iters):
    matrix = near_identity()
    generator = torch.Generator().manual_seed(5)
    rhs = (torch.randn(len(matrix), generator=generator, dtype=torch.float64),)
    found, expected = (
        solver.solve(lambda v: (matrix @ v[0],), rhs)
        for solver in (
            RecyclingSolver(iters, 0.0, extrapolate=False),
            MinresSolver(iters, 0.0),
        )
    )
    torch.testing.assert_close(found.value[0], expected.value[0], rtol=0, atol=1e-8)


def test_extrapolate_is_yes_or_no():
    with pytest.raises(ValueError, match="extrapolate is 'no'"):
        RecyclingSolver(extrapolate='no')
