"""Tests every solver on its row of ``solver_table``, on every device."""

import math

import pytest
import torch
from solver_table import (
    DEFINITE,
    DEVICES,
    DTYPES,
    INDEFINITE,
    NEAR_IDENTITY,
    SIZE,
    SOLVERS,
    Operator,
    block_diagonal,
    flatten,
    make_matrix,
    random_rhs,
)

import bissl_mm.hypergradient as package
from bissl_mm.hypergradient import Solver, Status, relative_residual
from bissl_mm.registry import SOLVERS as REGISTERED


def solvers(promise=lambda row: True):
    """The solvers whose rows promise something."""
    rows = {name: row for name, row in SOLVERS.items() if promise(row)}
    return pytest.mark.parametrize('row', rows.values(), ids=rows)


@pytest.fixture(params=DEVICES)
def device(request):
    return request.param


@pytest.fixture(params=DTYPES, ids=['single', 'double'])
def dtype(request):
    return request.param


@pytest.fixture
def system(device, dtype):
    """Makes an operator of a matrix, and a right-hand side."""

    def made(matrix, seed=1):
        return Operator(matrix.to(device, dtype)), tuple(
            b.to(device, dtype) for b in random_rhs(seed)
        )

    return made


def exact(row, dtype, max_iters=SIZE):
    """The solver with the smallest tolerance that the type allows."""
    return row.make(max_iters, torch.finfo(dtype).eps ** 0.5 / 10)


def is_solved(operator, solution, rhs):
    """Whether it is solved to half the digits; nothing may be in between."""
    residual = relative_residual(operator, solution.value, rhs)
    good = torch.finfo(rhs[0].dtype).eps ** 0.5
    assert not good < residual < 1e-2, residual
    return residual <= good


def test_every_solver_has_a_row():
    kinds = {
        kind
        for kind in vars(package).values()
        if isinstance(kind, type) and issubclass(kind, Solver) and kind is not Solver
    }
    assert {type(row.make(3, 0.1)) for row in SOLVERS.values()} == kinds
    assert set(REGISTERED.module_dict.values()) == kinds


@solvers()
@pytest.mark.parametrize(
    'kind, matrix',
    [
        ('definite', make_matrix(DEFINITE)),
        ('indefinite', make_matrix(INDEFINITE)),
        ('blocks', block_diagonal()),
    ],
    ids=['definite', 'indefinite', 'blocks'],
)
def test_systems_are_solved_within_n_iterations_or_not(
    row, kind, matrix, system, dtype
):
    operator, rhs = system(matrix)
    before = [b.clone() for b in rhs]
    solution = exact(row, dtype).solve(operator, rhs)
    assert operator.count == row.uses_products * solution.num_iters + row.products
    assert solution.num_iters <= SIZE
    promised = getattr(row, kind)
    if promised is not None:
        assert is_solved(operator, solution, rhs) == promised
    for value, b, old in zip(solution.value, rhs, before, strict=True):
        assert torch.equal(b, old) and value.data_ptr() != b.data_ptr()
        assert (value.shape, value.dtype, value.device) == (b.shape, dtype, b.device)


@solvers(lambda row: row.uses_products and (row.definite or row.linear))
def test_the_residual_and_the_curvature_are_those_of_the_system(row, system, dtype):
    operator, rhs = system(make_matrix(DEFINITE))
    solution = exact(row, dtype, 4).solve(operator, rhs)
    true = relative_residual(operator, solution.value, rhs)
    assert solution.residual_norm == pytest.approx(true, rel=1e-3, abs=1e-5)
    least = torch.linalg.eigvalsh(operator.matrix)[0].item()
    assert solution.min_curvature >= least * (1 - 1e-3)


@solvers(lambda row: row.near_identity is not None)
@pytest.mark.parametrize('size', [1e-38, 1e-30, 1e-17, 1.0, 1e17, 1e30, 1e37])
def test_tolerance_is_reached_for_any_norm(row, size, system, dtype):
    """Also if the square of the right-hand side leaves the range of its type."""
    operator, rhs = system(make_matrix(NEAR_IDENTITY))
    rhs = tuple(size * b for b in rhs)
    solution = row.make(60, 1e-3).solve(operator, rhs)
    true = relative_residual(operator, solution.value, rhs)
    assert (solution.status is Status.CONVERGED) == row.near_identity
    assert (true < 2e-3) == row.near_identity


@solvers()
def test_zero_gives_zero(row, system):
    operator, rhs = system(make_matrix(DEFINITE))
    zero = tuple(torch.zeros_like(b) for b in rhs)
    solution = row.make(5, 1e-3).solve(operator, zero)
    assert flatten(solution.value).abs().max() == 0 and operator.count == 0
    if row.uses_products:
        assert solution.residual_norm == 0
        assert solution.status is Status.CONVERGED


@solvers()
def test_a_tensor_without_gradient_stays_without(row, system):
    _, rhs = system(make_matrix(DEFINITE))
    rhs = (rhs[0], torch.zeros_like(rhs[1]), rhs[2])
    solution = row.make(60, 1e-3).solve(lambda v: tuple(1.5 * t for t in v), rhs)
    assert solution.value[1].abs().max() == 0
    if row.near_identity:
        torch.testing.assert_close(
            flatten(solution.value), flatten(rhs) / 1.5, rtol=2e-3, atol=0.0
        )


@solvers()
@pytest.mark.parametrize('where', ['operator', 'right-hand side'])
def test_what_is_not_a_number_is_reported_not_masked(row, where, system):
    operator, rhs = system(make_matrix(DEFINITE))
    if where == 'operator':
        operator.matrix = operator.matrix * math.nan
    else:
        rhs = (rhs[0] * math.inf, *rhs[1:])
    solution = row.make(5, 1e-3).solve(operator, rhs)
    assert (solution.status is Status.NOT_FINITE) == row.uses_products


@solvers()
def test_sums_and_multiples_after_few_iterations(row, system, dtype):
    operator, b = system(make_matrix(NEAR_IDENTITY))
    c = system(operator.matrix, seed=2)[1]
    solver = row.make(3, 0.0)

    def solved(rhs):
        return flatten(solver.solve(operator, rhs).value)

    def agree(found, expected):
        error = ((found - expected).norm() / expected.norm().clamp_min(1e-30)).item()
        small = 100 * torch.finfo(dtype).eps
        assert not small < error < 10 * small, error
        return error <= small

    both = solved(tuple(x + y for x, y in zip(b, c, strict=True)))
    assert agree(both, solved(b) + solved(c)) == row.linear
    # It is so small that an absolute constant in the solver would show.
    tiny = 2.0**-26
    assert agree(solved(tuple(tiny * x for x in b)), tiny * solved(b)) == (
        row.homogeneous
    )
    # The row says what it computes; the solver must not report more.
    assert row.homogeneous or not solver.is_homogeneous


@solvers()
def test_what_is_kept_saves_products_and_goes_into_a_checkpoint(row, system, dtype):
    operator, rhs = system(make_matrix(INDEFINITE))
    bound = exact(row, dtype).bind(operator)
    first = bound.solve(rhs)
    state, operator.count = bound.state_dict(), 0
    assert bool(state) == row.keeps_state
    again = bound.solve(rhs)
    saved, operator.count = operator.count, 0
    assert (saved < first.num_iters + row.products) == (
        row.keeps_state and row.uses_products
    )
    restored = bound.solver.bind(operator, state or None).solve(rhs)
    assert torch.equal(flatten(restored.value), flatten(again.value))
    assert operator.count == saved
    # Another binding does not have it.
    operator.count = 0
    bound.solver.bind(operator).solve(rhs)
    assert operator.count == row.uses_products * first.num_iters + row.products
