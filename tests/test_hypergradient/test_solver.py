"""What each solver does beyond its row of ``solver_table``."""

import pytest
import torch
from solver_table import (
    DEFINITE,
    INDEFINITE,
    SIZE,
    Operator,
    flatten,
    make_matrix,
    random_rhs,
    split,
)

from bissl_mm.hypergradient import (
    CGSolver,
    DenseSolver,
    MinresSolver,
    NeumannSolver,
    Status,
    TruncatedCGSolver,
    relative_residual,
)


def test_tolerance_stops_early_and_counts_products():
    operator = Operator(make_matrix(1.0 + 0.01 * DEFINITE))
    rhs = random_rhs()
    solution = CGSolver(max_iters=SIZE, tolerance=1e-3).solve(operator, rhs)
    assert solution.status is Status.CONVERGED
    assert solution.num_iters == operator.count < 5
    residual = relative_residual(operator, solution.value, rhs)
    assert residual <= 1e-3
    assert solution.residual_norm == pytest.approx(residual, rel=1e-8)


def test_few_iterations_report_that_the_tolerance_was_missed():
    solution = CGSolver(max_iters=2, tolerance=1e-10).solve(
        Operator(make_matrix(DEFINITE)), random_rhs()
    )
    assert solution.status is Status.MAX_ITERS
    assert solution.num_iters == 2
    assert solution.residual_norm > 1e-10


def test_cg_stops_at_negative_curvature_with_the_iterate_reached():
    operator = Operator(make_matrix(INDEFINITE))
    rhs = random_rhs()
    solution = CGSolver(max_iters=SIZE).solve(operator, rhs)
    assert solution.status is Status.NEGATIVE_CURVATURE
    assert solution.min_curvature < 0
    assert torch.dot(flatten(rhs), flatten(solution.value)) > 0


def test_negative_curvature_at_once_returns_the_right_hand_side():
    rhs = random_rhs()
    solution = CGSolver().solve(Operator(-torch.eye(SIZE).double()), rhs)
    assert solution.status is Status.NEGATIVE_CURVATURE
    assert torch.equal(flatten(solution.value), flatten(rhs))


def test_continuing_through_negative_curvature_can_still_solve():
    matrix = make_matrix(INDEFINITE)
    rhs = random_rhs()
    solution = CGSolver(max_iters=SIZE, negative_curvature='continue').solve(
        Operator(matrix), rhs
    )
    expected = torch.linalg.solve(matrix, flatten(rhs))
    torch.testing.assert_close(flatten(solution.value), expected, rtol=1e-6, atol=1e-8)


def test_singular_system_with_a_solution_is_solved():
    eigenvalues = DEFINITE.clone()
    eigenvalues[0] = 0.0
    matrix = make_matrix(eigenvalues)
    known = matrix @ torch.ones(SIZE, dtype=torch.float64)
    rhs = split(matrix @ known)
    solution = CGSolver(max_iters=SIZE, tolerance=1e-9).solve(Operator(matrix), rhs)
    torch.testing.assert_close(flatten(solution.value), known, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    'eigenvalues', [DEFINITE, INDEFINITE], ids=['definite', 'indefinite']
)
def test_minres_is_the_best_of_the_krylov_space(eigenvalues):
    matrix, rhs = make_matrix(eigenvalues), random_rhs()
    b = flatten(rhs)
    residuals = []
    for iters in range(1, SIZE + 1):
        operator = Operator(matrix)
        solution = MinresSolver(iters, tolerance=0.0).solve(operator, rhs)
        assert operator.count == solution.num_iters == iters
        krylov = [b]
        for _ in range(iters - 1):
            krylov.append(matrix @ krylov[-1])
        space = torch.linalg.qr(torch.stack(krylov, 1))[0]
        weights = torch.linalg.lstsq(matrix @ space, b[:, None]).solution
        expected = (b - matrix @ space @ weights[:, 0]).norm() / b.norm()
        found = relative_residual(operator, solution.value, rhs)
        assert found == pytest.approx(expected.item(), rel=1e-5, abs=1e-9)
        assert solution.residual_norm == pytest.approx(found, rel=1e-5, abs=1e-9)
        residuals.append(found)
    assert residuals == sorted(residuals, reverse=True)
    assert residuals[-1] < 1e-9 < residuals[0] < 1
    assert solution.min_curvature == pytest.approx(eigenvalues[0].item())


def test_minres_ends_where_the_krylov_space_does():
    matrix = make_matrix(torch.tensor([-2.0] * 7 + [3.0] * 7).double())
    operator, rhs = Operator(matrix), random_rhs()
    solution = MinresSolver(SIZE, tolerance=0.0).solve(operator, rhs)
    assert solution.status is Status.CONVERGED and operator.count == 2
    assert relative_residual(operator, solution.value, rhs) < 1e-12


def test_minres_of_a_singular_system_stays_below_the_zero_vector():
    eigenvalues = INDEFINITE.clone()
    eigenvalues[3] = 0.0
    matrix, rhs = make_matrix(eigenvalues), random_rhs()
    solution = MinresSolver(2 * SIZE, tolerance=0.0).solve(Operator(matrix), rhs)
    assert solution.status is Status.EXHAUSTED
    values, vectors = torch.linalg.eigh(matrix)
    lost = vectors[:, values.abs().argmin()]
    expected = torch.dot(lost, flatten(rhs)).abs() / flatten(rhs).norm()
    found = relative_residual(Operator(matrix), solution.value, rhs)
    assert found == pytest.approx(expected.item(), rel=1e-6)


def test_dense_solver_refuses_large_systems():
    with pytest.raises(ValueError, match='14 unknowns, more than max_size=3'):
        DenseSolver(max_size=3).solve(Operator(make_matrix(DEFINITE)), random_rhs())


@pytest.mark.parametrize(
    'arguments, error, message',
    [
        (dict(max_iters=0), ValueError, 'max_iters must be a whole number'),
        (dict(max_itres=3), TypeError, "Did you mean 'max_iters'"),
        (dict(negative_curvature='ignore'), ValueError, "'stop', 'continue'"),
    ],
)
def test_bad_settings_are_named(arguments, error, message):
    with pytest.raises(error, match=message):
        CGSolver(**arguments)


def test_truncated_cg_returns_the_best_iterate_before_negative_curvature():
    eigenvalues = DEFINITE.clone()
    eigenvalues[0] = -0.01
    matrix, rhs = make_matrix(eigenvalues), random_rhs()
    residuals, ended = [], None
    for iters in range(1, SIZE + 1):
        step = CGSolver(iters, negative_curvature='stop').solve(Operator(matrix), rhs)
        if step.status is Status.NEGATIVE_CURVATURE:
            ended = iters
            break
        residuals.append(relative_residual(Operator(matrix), step.value, rhs))
    # Check that the case fits: the last iterate is not the best one.
    assert ended > 2 and residuals[-1] > min(residuals)
    operator = Operator(matrix)
    solution = TruncatedCGSolver(2 * SIZE, tolerance=0.0).solve(operator, rhs)
    assert solution.status is Status.NEGATIVE_CURVATURE
    assert operator.count == solution.num_iters == ended
    found = relative_residual(operator, solution.value, rhs)
    assert found == pytest.approx(min(residuals), rel=1e-9)
    assert solution.residual_norm == pytest.approx(found, rel=1e-9)


def test_truncated_cg_does_not_answer_zero():
    """The first step goes too far, the second direction is negative."""
    matrix = torch.diag(torch.tensor([9.0] * 7 + [-8.0] * 7)).double()
    rhs = split(torch.ones(SIZE).double())
    solution = TruncatedCGSolver().solve(Operator(matrix), rhs)
    assert solution.status is Status.NEGATIVE_CURVATURE
    torch.testing.assert_close(flatten(solution.value), 2 * torch.ones(SIZE).double())
    assert solution.residual_norm == pytest.approx(17.0)


def test_truncated_cg_on_a_negative_definite_operator_gives_b():
    rhs = random_rhs()
    solution = TruncatedCGSolver().solve(Operator(make_matrix(-DEFINITE)), rhs)
    assert torch.equal(flatten(solution.value), flatten(rhs))
    assert solution.status is Status.NEGATIVE_CURVATURE
    assert solution.residual_norm == pytest.approx(
        relative_residual(Operator(make_matrix(-DEFINITE)), solution.value, rhs)
    )


def test_neumann_is_the_partial_sum():
    matrix, rhs = make_matrix(DEFINITE / 15), random_rhs()
    b = flatten(rhs)
    for terms in (1, 4):
        solution = NeumannSolver(terms, step_size=0.9).solve(Operator(matrix), rhs)
        rest = torch.eye(SIZE).double() - 0.9 * matrix
        expected = 0.9 * sum(
            torch.linalg.matrix_power(rest, k) @ b for k in range(terms)
        )
        torch.testing.assert_close(
            flatten(solution.value), expected, rtol=1e-10, atol=1e-12
        )
        assert solution.residual_norm == pytest.approx(
            relative_residual(Operator(matrix), solution.value, rhs)
        )
    done = NeumannSolver(1000, tolerance=1e-6).solve(Operator(matrix), rhs)
    assert done.status is Status.CONVERGED and done.num_iters < 1000


def test_neumann_keeps_the_best_sum_when_it_diverges():
    eigenvalues = torch.full((SIZE,), 0.5).double()
    eigenvalues[0] = 2.5
    matrix, rhs = make_matrix(eigenvalues), random_rhs()
    operator = Operator(matrix)
    solution = NeumannSolver(100).solve(operator, rhs)
    assert solution.status is Status.DIVERGED
    assert solution.num_iters == operator.count < 20
    found = relative_residual(operator, solution.value, rhs)
    assert found == pytest.approx(solution.residual_norm) and found < 1
