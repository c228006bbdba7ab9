"""What solvers report in single precision, against double precision."""

import functools
import math

import pytest
import torch

from bissl_mm.hypergradient import (
    BoundSolver,
    CGSolver,
    DenseSolver,
    LayerwiseCGSolver,
    MinresSolver,
    RecyclingSolver,
    Status,
    TruncatedCGSolver,
    relative_residual,
)


def solve(solver, matrix, b):
    """Solution, and its residual in double precision."""
    bound = (
        solver
        if isinstance(solver, BoundSolver)
        else solver.bind(lambda v: (matrix @ v[0],))
    )
    solution = bound.solve((b,))
    x, exact = solution.value[0].double(), matrix.double()
    true = (b.double() - exact @ x).norm() / b.double().norm()
    return solution, true.item()


def dense(values, seed):
    """A symmetric matrix of these eigenvalues, and its vectors."""
    generator = torch.Generator().manual_seed(seed)
    basis = torch.linalg.qr(
        torch.randn(len(values), len(values), generator=generator, dtype=values.dtype)
    )[0]
    matrix = (basis * values) @ basis.T
    return (matrix + matrix.T) / 2, basis


def assert_honest(solver, solution, true):
    # The accuracy that single precision allows for a system of this size.
    assert true <= 1 + 1e-4
    assert true <= 1.1 * max(solution.residual_norm, 1.5e-5)
    if solution.status is Status.CONVERGED:
        assert true <= 1.1 * max(solver.tolerance, 1.5e-5)
    if solution.status is Status.MAX_ITERS:
        assert solution.num_iters == solver.max_iters


@pytest.mark.parametrize('solver', [MinresSolver, RecyclingSolver])
@pytest.mark.parametrize(
    'diagonal', [[1.0, 0.0], [1.0, -1.0, 0.0], [3.0, 0.0, 0.0, 2e-7], [-2.0, 1e-8, 5.0]]
)
def test_small_singular_systems(solver, diagonal):
    matrix = torch.diag(torch.tensor(diagonal))
    solution, true = solve(solver(), matrix, torch.ones(len(matrix)))
    assert_honest(solver(), solution, true)
    assert solution.status is Status.EXHAUSTED
    assert solution.value[0].norm() < 1e3


@pytest.mark.parametrize('solver', [MinresSolver, RecyclingSolver])
@pytest.mark.parametrize('tolerance', [1e-2, 1e-5])
def test_drawn_singular_systems(solver, tolerance):
    for seed in range(30):
        generator = torch.Generator().manual_seed(seed)
        size = 2 + seed % 10
        values = torch.randn(size, generator=generator) * 10 ** (seed % 4)
        values[: 1 + seed % 2] = 0
        matrix = dense(values, seed)[0] if seed % 2 else torch.diag(values)
        kind = solver(20, tolerance)
        solution, true = solve(kind, matrix, torch.randn(size, generator=generator))
        assert_honest(kind, solution, true)


@pytest.mark.parametrize('smallest', [0.0, 1e-5])
def test_large_nearly_singular_systems(smallest):
    for seed in range(4):
        generator = torch.Generator().manual_seed(seed)
        values = 1 + 0.1 * torch.randn(400, generator=generator)
        values[:4] = torch.tensor([50.0, 20.0, -3.0, smallest])
        matrix, basis = dense(values, seed)
        b = torch.randn(400, generator=generator) + 20 * (seed % 2) * (
            basis[:, :4] @ torch.randn(4, generator=generator)
        )
        for solver in (MinresSolver(20), RecyclingSolver(20)):
            assert_honest(solver, *solve(solver, matrix, b))


@pytest.mark.parametrize('largest', [5e3, 5e4, 5e5])
@pytest.mark.parametrize('solver', [MinresSolver, RecyclingSolver])
def test_large_leading_eigenvalues(solver, largest):
    """They solve it if conjugate gradients solve it."""
    for seed in range(2):
        generator = torch.Generator().manual_seed(seed)
        values = 1 + 0.3 * torch.randn(800, generator=generator).abs()
        values[:6] = torch.logspace(math.log10(largest / 50), math.log10(largest), 6)
        matrix = torch.diag(values)
        b = torch.randn(800, generator=generator)
        assert solve(CGSolver(40, 0.01), matrix, b)[0].status is Status.CONVERGED
        kind = solver(40)
        solution, true = solve(kind, matrix, b)
        assert solution.status is Status.CONVERGED and true <= 0.0105
        assert solution.residual_norm <= 0.01


@pytest.mark.parametrize(
    'solver',
    [
        CGSolver,
        TruncatedCGSolver,
        MinresSolver,
        RecyclingSolver,
        functools.partial(CGSolver, negative_curvature='continue'),
    ],
)
def test_convergence_that_rounding_hides_is_seen_before_it_is_said(solver):
    """Tolerances near what single precision can hold."""
    converged = 0
    for seed in range(24):
        size = 3 + seed % 6
        values = (
            torch.logspace(0, 6, size)
            if seed % 2
            else torch.cat([torch.linspace(0.1, 3, size - 1), torch.tensor([1e-6])])
        )
        matrix = dense(values, seed)[0] if seed % 3 else torch.diag(values)
        b = torch.randn(size, generator=torch.Generator().manual_seed(seed))
        solution = solver(40, 1e-5).solve(lambda v: (matrix @ v[0],), (b,))
        if solution.status is Status.CONVERGED:
            converged += 1
            assert (
                relative_residual(lambda v: (matrix @ v[0],), solution.value, (b,))
                < 2e-5
            )
    # Some of the systems are solved, so that something was compared.
    assert converged


@pytest.mark.parametrize('largest, is_seen', [(10.0, False), (1e3, False), (5e5, True)])
@pytest.mark.parametrize('solver', [CGSolver, TruncatedCGSolver])
def test_product_that_shows_what_is_left(solver, largest, is_seen):
    """The extra product is counted, and is spent only if rounding matters."""
    values = torch.linspace(1, 2, 100)
    values[0] = largest
    b = torch.randn(100, generator=torch.Generator().manual_seed(0))
    b[0] = 10
    calls = []
    solution = solver(40, 0.01).solve(
        lambda v: calls.append(v[0].clone()) or (values * v[0],), (b,)
    )
    assert solution.num_iters == len(calls)
    assert solution.status is Status.CONVERGED
    assert torch.equal(calls[-1], solution.value[0]) == is_seen


def test_recycling_of_large_eigenvalues_within_a_phase():
    generator = torch.Generator().manual_seed(0)
    values = 1 + 0.3 * torch.randn(800, generator=generator).abs()
    values[:6] = 5e5 * torch.tensor([1.0, 0.7, -0.4, 0.2, -0.1, 0.02])
    solver = RecyclingSolver(30, 0.01, extrapolate=False)
    bound = solver.bind(lambda v: (values * v[0],))
    for _ in range(4):
        solution, true = solve(
            bound, torch.diag(values), torch.randn(800, generator=generator)
        )
        assert_honest(solver, solution, true)
        assert solution.status is Status.CONVERGED


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
@pytest.mark.parametrize('solver', [CGSolver, TruncatedCGSolver])
def test_conjugate_gradients_of_a_singular_system(solver, dtype):
    """The last curvature is rounding, positive or not."""
    ended = set()
    for seed in range(20):
        values = torch.linspace(0, 2, 5)
        matrix = dense(values, seed)[0].to(dtype)
        # Singular beyond the rounding of single precision.
        values, vectors = torch.linalg.eigh(matrix.double())
        values[0] = 0
        matrix = ((vectors * values) @ vectors.T).to(dtype)
        b = torch.randn(5, generator=torch.Generator().manual_seed(seed))
        solution, true = solve(solver(10, 1e-6), matrix, b.to(dtype))
        assert true == pytest.approx(solution.residual_norm, rel=0.1)
        ended.add(solution.status)
    assert ended == {Status.NEGATIVE_CURVATURE}


def test_conjugate_gradients_past_their_end_log_no_nan():
    # No step length is right along a direction without curvature.
    kind = CGSolver(5, negative_curvature='continue')
    solution = kind.solve(lambda v: (0 * v[0],), (torch.ones(3),))
    assert solution.status is Status.FIXED_ITERS
    assert solution.residual_norm == 1 and solution.min_curvature == 0
    for kind in (
        CGSolver(5, negative_curvature='continue'),
        LayerwiseCGSolver(5, epsilon=0.0),
    ):
        # Solved by the first step: p = 0 from then on.
        solution = kind.solve(lambda v: (2 * v[0],), (torch.ones(3),))
        assert solution.min_curvature == pytest.approx(2.0)


@pytest.mark.parametrize(
    'diagonal, status',
    [
        ([2.0, -1.0, 0.5], Status.CONVERGED),
        ([1.0, 0.0, 2.0], Status.EXHAUSTED),
        ([1.0, math.nan, 2.0], Status.NOT_FINITE),
    ],
)
def test_dense_solver_of_any_system(diagonal, status):
    matrix = torch.diag(torch.tensor(diagonal).double())
    solution, true = solve(DenseSolver(), matrix, torch.ones(3).double())
    assert solution.status is status
    if status is Status.EXHAUSTED:
        assert true == pytest.approx(3**-0.5)
        torch.testing.assert_close(
            solution.value[0], torch.tensor([1.0, 0.0, 0.5]).double()
        )


def test_layerwise_solver_does_not_call_what_epsilon_leaves_converged():
    b = torch.full((3,), 1e-30)
    solution = LayerwiseCGSolver().solve(lambda v: v, (b,))
    assert solution.status is Status.FIXED_ITERS
    assert solution.residual_norm == 1 and not solution.value[0].any()


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
@pytest.mark.parametrize('max_iters', [2, 3, 40])
def test_recycling_from_a_vector_of_the_null_space(max_iters, dtype):
    """Its image is rounding, and so would be all that is fitted with it."""
    solved = 0
    for seed in range(8):
        values = torch.linspace(-3, 3, 9, dtype=dtype)
        matrix, basis = dense(values, seed)
        bound = RecyclingSolver(max_iters).bind(
            lambda v, matrix=matrix: (matrix @ v[0],)
        )
        generator = torch.Generator().manual_seed(seed)
        for b in (basis[:, 4], torch.randn(9, generator=generator, dtype=dtype)):
            solution, true = solve(bound, matrix, b)
            if solution.status is not Status.ESTIMATED:
                solved += 1
                assert true <= min(1.05, 1.1 * solution.residual_norm)
    assert solved


@pytest.mark.parametrize('solver', [CGSolver(20), TruncatedCGSolver(20, 0.0)])
def test_residual_of_conjugate_gradients_counts_rounding_in(solver):
    for seed in range(8):
        values = torch.linspace(1, 2, 6)
        values[0] = 1e6
        matrix = dense(values, seed)[0]
        b = torch.randn(6, generator=torch.Generator().manual_seed(seed))
        solution, true = solve(solver, matrix, b)
        assert true <= 3 * solution.residual_norm


@pytest.mark.parametrize('size', [50, 300])
def test_a_dense_solution_in_single_precision_keeps_small_eigenvalues(size):
    """Those of I + H / 1e-3, with H from 0 to 100."""
    exact, _ = dense(torch.logspace(0, 5, size, dtype=torch.float64), seed=1)
    matrix = exact.float()
    b = torch.randn(size, generator=torch.Generator().manual_seed(2))
    solution, true = solve(DenseSolver(), matrix, b)
    expected = torch.linalg.solve(matrix.double(), b.double())
    torch.testing.assert_close(
        solution.value[0].double(), expected, rtol=1e-5, atol=1e-6
    )
    assert true < 0.05 and solution.value[0].dtype is torch.float32


@pytest.mark.parametrize('kind', [torch.float32, torch.float64])
def test_a_dense_solution_leaves_out_what_rounding_made_of_zeros(kind):
    size, zeros = 300, 100
    values = torch.cat([torch.zeros(zeros), torch.logspace(0, 3, size - zeros)])
    exact, basis = dense(values.double(), seed=3)
    b = torch.randn(size, generator=torch.Generator().manual_seed(4), dtype=kind)
    solution, _ = solve(DenseSolver(), exact.to(kind), b)
    # The shortest solution of the part of b that the matrix can reach.
    parts = (basis.T @ b.double())[zeros:] / values[zeros:].double()
    expected = basis[:, zeros:] @ parts
    error = (solution.value[0].double() - expected).norm()
    assert error < 1e4 * torch.finfo(kind).eps * expected.norm()
    assert solution.status is Status.EXHAUSTED
