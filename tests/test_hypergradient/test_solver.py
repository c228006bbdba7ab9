"""Solvers against torch.linalg.solve on matrices of every kind."""

import math

import pytest
import torch

from bissl_mm.hypergradient import (
    CGSolver,
    DenseSolver,
    DiscardSolver,
    IdentitySolver,
    LayerwiseCGSolver,
    MinresSolver,
    NeumannSolver,
    RecyclingSolver,
    Status,
    TruncatedCGSolver,
    relative_residual,
)

SHAPES = ((2, 3), (4,), (1, 2, 2))
SIZE = 14


def split(flat):
    parts = flat.split([math.prod(s) for s in SHAPES])
    return tuple(p.view(s) for p, s in zip(parts, SHAPES, strict=True))


def flatten(vectors):
    return torch.cat([v.flatten() for v in vectors])


def make_matrix(eigenvalues, seed=0):
    generator = torch.Generator().manual_seed(seed)
    basis = torch.linalg.qr(
        torch.randn(SIZE, SIZE, generator=generator, dtype=torch.float64)
    )[0]
    return basis @ torch.diag(eigenvalues) @ basis.T


class Operator:
    """A dense matrix as an operator that counts its products."""

    def __init__(self, matrix):
        self.matrix = matrix
        self.count = 0

    def __call__(self, vectors):
        self.count += 1
        return split(self.matrix @ flatten(vectors))


def random_rhs(seed=1):
    generator = torch.Generator().manual_seed(seed)
    return split(torch.randn(SIZE, generator=generator, dtype=torch.float64))


DEFINITE = torch.linspace(0.5, 20.0, SIZE, dtype=torch.float64)
INDEFINITE = torch.linspace(-3.0, 5.0, SIZE, dtype=torch.float64)


@pytest.mark.parametrize(
    'solver',
    [
        CGSolver(max_iters=SIZE, tolerance=1e-12),
        CGSolver(max_iters=SIZE, negative_curvature='continue'),
        MinresSolver(max_iters=SIZE, tolerance=1e-12),
        DenseSolver(),
        TruncatedCGSolver(max_iters=SIZE, tolerance=1e-12),
        RecyclingSolver(max_iters=SIZE, tolerance=1e-12),
    ],
    ids=repr,
)
def test_definite_system_is_solved_within_n_iterations(solver):
    matrix = make_matrix(DEFINITE)
    rhs = random_rhs()
    before = [r.clone() for r in rhs]
    solution = solver.solve(Operator(matrix), rhs)
    expected = torch.linalg.solve(matrix, flatten(rhs))
    torch.testing.assert_close(flatten(solution.value), expected, rtol=1e-8, atol=1e-10)
    assert solution.num_iters <= SIZE
    assert solution.min_curvature > 0
    for r, b in zip(rhs, before, strict=True):
        assert torch.equal(r, b)


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


def test_layerwise_equals_cg_on_a_block_diagonal_operator():
    blocks = torch.zeros(SIZE, SIZE, dtype=torch.float64)
    begin = 0
    for shape in SHAPES:
        end = begin + math.prod(shape)
        block = torch.randn(
            end - begin,
            end - begin,
            generator=torch.Generator().manual_seed(begin),
            dtype=torch.float64,
        )
        blocks[begin:end, begin:end] = block @ block.T + torch.eye(
            end - begin, dtype=torch.float64
        )
        begin = end
    rhs = random_rhs()
    solution = LayerwiseCGSolver(max_iters=6, epsilon=0.0).solve(Operator(blocks), rhs)
    expected = torch.linalg.solve(blocks, flatten(rhs))
    torch.testing.assert_close(flatten(solution.value), expected, rtol=1e-8, atol=1e-10)


def test_layerwise_residual_is_not_that_of_a_coupled_system():
    operator = Operator(make_matrix(DEFINITE))
    rhs = random_rhs()
    solution = LayerwiseCGSolver(max_iters=50).solve(operator, rhs)
    assert relative_residual(operator, solution.value, rhs) > 0.1
    joint = CGSolver(max_iters=50).solve(operator, rhs)
    assert relative_residual(operator, joint.value, rhs) < 1e-8


@pytest.mark.parametrize(
    'solver',
    [
        CGSolver(),
        CGSolver(negative_curvature='continue'),
        LayerwiseCGSolver(),
        LayerwiseCGSolver(epsilon=0.0),
        MinresSolver(),
        TruncatedCGSolver(),
        NeumannSolver(),
        RecyclingSolver(),
    ],
    ids=repr,
)
def test_zero_right_hand_side_gives_zero(solver):
    zero = split(torch.zeros(SIZE, dtype=torch.float64))
    solution = solver.solve(Operator(make_matrix(DEFINITE)), zero)
    assert flatten(solution.value).abs().max() == 0
    assert solution.residual_norm == 0
    assert solution.status is Status.CONVERGED


@pytest.mark.parametrize(
    'solver',
    [
        CGSolver(negative_curvature='continue'),
        CGSolver(),
        LayerwiseCGSolver(epsilon=0.0),
        MinresSolver(),
        TruncatedCGSolver(),
        NeumannSolver(step_size=0.5),
        RecyclingSolver(),
    ],
    ids=repr,
)
def test_a_tensor_without_gradient_stays_without(solver):
    rhs = list(random_rhs())
    rhs[1] = torch.zeros_like(rhs[1])
    solution = solver.solve(lambda v: tuple(2.0 * t for t in v), tuple(rhs))
    torch.testing.assert_close(
        flatten(solution.value), 0.5 * flatten(rhs), rtol=1e-12, atol=0.0
    )


@pytest.mark.parametrize(
    'solver',
    [
        CGSolver(),
        CGSolver(negative_curvature='continue', tolerance=1e-3),
        LayerwiseCGSolver(),
        MinresSolver(),
        TruncatedCGSolver(),
        NeumannSolver(),
        RecyclingSolver(),
    ],
    ids=repr,
)
def test_nan_in_the_operator_is_reported_not_masked(solver):
    solution = solver.solve(lambda v: tuple(t * math.nan for t in v), random_rhs())
    assert solution.status is Status.NOT_FINITE


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


def test_answers_without_a_product():
    operator, rhs = Operator(make_matrix(DEFINITE)), random_rhs()
    same = IdentitySolver().solve(operator, rhs)
    assert torch.equal(flatten(same.value), flatten(rhs))
    assert all(a is not b for a, b in zip(same.value, rhs))
    nothing = DiscardSolver().solve(operator, rhs)
    assert flatten(nothing.value).abs().max() == 0
    assert operator.count == 0


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
    # The case is one: the last iterate before the stop is not the best.
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


@pytest.mark.parametrize(
    'eigenvalues', [DEFINITE, INDEFINITE], ids=['definite', 'indefinite']
)
def test_recycling_is_minres_for_the_first_right_hand_side(eigenvalues):
    matrix, rhs = make_matrix(eigenvalues), random_rhs()
    for iters in (1, 3, 6):
        operator = Operator(matrix)
        solution = RecyclingSolver(iters, tolerance=0.0).solve(operator, rhs)
        assert operator.count == iters
        expected = (
            MinresSolver(iters, tolerance=0.0)
            .solve(Operator(matrix), rhs)
            .residual_norm
        )
        found = relative_residual(Operator(matrix), solution.value, rhs)
        assert found == pytest.approx(expected, rel=1e-6)
        assert solution.residual_norm == pytest.approx(found, rel=1e-6)


def test_recycling_spends_fewer_products_on_a_phase():
    """Of a few large eigenvalues: eight solves, one operator."""
    eigenvalues = torch.ones(SIZE).double()
    eigenvalues[:6] = torch.tensor([-3.0, 9.0, 6.0, 4.0, 30.0, 14.0])
    matrix, counts, residuals = make_matrix(eigenvalues), [], []
    operator, single = Operator(matrix), 0
    shared = RecyclingSolver(tolerance=1e-2).bind(operator)
    for step in range(8):
        before, rhs = operator.count, random_rhs(seed=step)
        solution = shared.solve(rhs)
        counts.append(operator.count - before)
        residuals.append(relative_residual(operator, solution.value, rhs))
        single += RecyclingSolver(tolerance=1e-2).solve(Operator(matrix), rhs).num_iters
    assert max(residuals) <= 1e-2
    assert sum(counts) < single / 2
    # Another binding knows nothing of it.
    operator = Operator(matrix)
    shared.solver.bind(operator).solve(random_rhs(seed=0))
    assert operator.count == counts[0]


def test_recycling_answers_what_it_has_seen_without_a_product():
    matrix, rhs = make_matrix(INDEFINITE), random_rhs()
    solver = RecyclingSolver(SIZE, tolerance=1e-8, max_basis=SIZE)
    operator = Operator(matrix)
    bound = solver.bind(operator)
    first = bound.solve(rhs)
    kept, operator.count = bound.state_dict(), 0
    again = bound.solve(tuple(2 * r for r in rhs))
    assert operator.count == 0 and again.status is Status.CONVERGED
    torch.testing.assert_close(
        flatten(again.value), 2 * flatten(first.value), rtol=1e-6, atol=0.0
    )
    restored = solver.bind(operator, kept).solve(tuple(2 * r for r in rhs))
    assert torch.equal(flatten(restored.value), flatten(again.value))
    assert operator.count == 0


def test_recycling_keeps_no_more_than_it_may():
    bound = RecyclingSolver(5, tolerance=0.0, max_basis=3).bind(
        Operator(make_matrix(INDEFINITE))
    )
    for seed in range(3):
        solution = bound.solve(random_rhs(seed))
        assert len(bound.state_dict()['images']) == 3
        assert solution.residual_norm < 1


def test_recycling_passes_a_standstill():
    """b.Ab = 0: the first product alone brings nothing."""
    matrix = torch.diag(torch.tensor([1.0] * 7 + [-1.0] * 7)).double()
    rhs = split(torch.ones(SIZE).double())
    operator = Operator(matrix)
    solution = RecyclingSolver(SIZE, tolerance=1e-9).solve(operator, rhs)
    assert solution.status is Status.CONVERGED and operator.count == 2
    torch.testing.assert_close(
        flatten(solution.value), torch.diag(matrix), rtol=1e-9, atol=1e-9
    )


def test_recycling_estimates_what_it_leaves():
    """Sound where it is made, and a product cheaper than knowing."""
    torch.manual_seed(3)
    size = 400
    factor = torch.randn(size, size).double()
    noise = (factor + factor.T) / size**0.5 * 0.05
    matrix = torch.eye(size).double() + noise
    known, guessed = (
        RecyclingSolver(tolerance=0.03, extrapolate=extrapolate).bind(
            lambda v: (matrix @ v[0],)
        )
        for extrapolate in (False, True)
    )
    products, estimated = {known: 0, guessed: 0}, 0
    for step in range(8):
        rhs = (torch.randn(size).double(),)
        for solver in products:
            solution = solver.solve(rhs)
            products[solver] += solution.num_iters
            true = relative_residual(lambda v: (matrix @ v[0],), solution.value, rhs)
            if solution.status is Status.CONVERGED:
                assert true == pytest.approx(solution.residual_norm, rel=1e-9)
            else:
                assert solution.status is Status.ESTIMATED
                estimated += 1
                assert solver is guessed and step > 0
                assert true == pytest.approx(solution.residual_norm, rel=0.3)
    assert estimated >= 5
    assert products[guessed] <= products[known] - 5


def _two_kinds(kind, seed):
    """A right-hand side among eigenvalues of 1.05 (0) or 1.5 (1)."""
    rhs = torch.zeros(400).double()
    rhs[200 * kind : 200 * (kind + 1)] = torch.randn(
        200, generator=torch.Generator().manual_seed(seed)
    )
    return (rhs,)


@pytest.mark.parametrize(
    'kinds, products',
    [
        # The estimate holds: the first solve, and of the others the first, the
        # second and the fourth.
        ([0] * 8, [1, 1, 1, 0, 1, 0, 0, 0]),
        # It does not from the third solve on, which tells.
        ([0, 0, 1, 1, 1, 1], [1, 1, 1, 1, 1, 1]),
    ],
)
def test_recycling_looks_at_solves_that_could_be_free(kinds, products):
    values = torch.full((400,), 1.05).double()
    values[200:] = 1.5
    solver, found = RecyclingSolver(tolerance=0.1), []
    bound = solver.bind(lambda v: (values * v[0],))
    for seed, kind in enumerate(kinds):
        rhs = _two_kinds(kind, seed)
        if seed == 4:
            bound = solver.bind(bound.operator, bound.state_dict())
        solution = bound.solve(rhs)
        found.append(solution.num_iters)
        true = relative_residual(lambda v: (values * v[0],), solution.value, rhs)
        assert true <= 0.1
    assert found == products


def test_recycling_does_not_guess_of_a_large_unseen_part():
    """Where the rest is no identity, the known residual is the better."""
    matrix = make_matrix(torch.linspace(-40, 60, SIZE).double())
    shared = RecyclingSolver(3, tolerance=1e-3).bind(Operator(matrix))
    for step in range(4):
        rhs = random_rhs(seed=step)
        solution = shared.solve(rhs)
        true = relative_residual(Operator(matrix), solution.value, rhs)
        assert true <= 1
        assert true == pytest.approx(solution.residual_norm, rel=1e-6)


def test_recycling_with_a_right_hand_side_that_is_not_a_number():
    rhs = (torch.tensor([1.0, math.nan]),)
    solution = RecyclingSolver().solve(lambda v: v, rhs)
    assert solution.status is Status.NOT_FINITE
    assert solution.value[0].isnan().any()


def test_recycling_in_single_precision_on_a_wild_operator():
    """Rounding that the eigenvalues blow up spoils neither basis nor
    residual."""
    generator = torch.Generator().manual_seed(0)
    size = 2000
    # As an untrained network's: a few large eigenvalues of both signs.
    values = torch.cat(
        (
            torch.tensor([900.0, -700.0, 500.0, -300.0, 300.0, 200.0, -200.0, 150.0]),
            5 * torch.randn(192, generator=generator),
        )
    )
    basis = torch.linalg.qr(torch.randn(size, 200, generator=generator))[0].T

    def operator(v):
        return (v[0] + basis.T @ (values * (basis @ v[0])),)

    bound = RecyclingSolver(tolerance=0.05).bind(operator)
    for step in range(4):
        rhs = (
            torch.randn(size, generator=generator)
            + 20 * torch.randn(8, generator=generator) @ basis[:8],
        )
        solution = bound.solve(rhs)
        true = relative_residual(operator, solution.value, rhs)
        assert true < 1
        assert true == pytest.approx(solution.residual_norm, rel=0.05)
    state = bound.state_dict()
    directions = state['directions'].double()
    images = state['images'].double()
    torch.testing.assert_close(
        directions @ directions.T,
        torch.eye(len(directions)).double(),
        rtol=0,
        atol=1e-4,
    )
    # Images are as long as the largest eigenvalue and rounded to eps of it.
    torch.testing.assert_close(
        directions @ images.T,
        state['overlap'],
        rtol=0,
        atol=10 * 900 * torch.finfo(torch.float32).eps,
    )


@pytest.mark.parametrize(
    'leading, noise, count, size, seeds',
    [
        ([90.0, -70.0, 50.0, -30.0], 3.0, 60, 400, 25),
        # A is singular, and nearly so.
        ([-1.0], 0.3, 50, 1000, 2),
        ([-1.0003, 50.0], 0.3, 50, 1000, 2),
    ],
)
def test_recycling_reports_the_residual_it_leaves(leading, noise, count, size, seeds):
    """In single precision, whatever it makes of the system."""
    for seed in range(seeds):
        generator = torch.Generator().manual_seed(seed)
        values = torch.cat(
            (torch.tensor(leading), noise * torch.randn(count, generator=generator))
        )
        basis = torch.linalg.qr(torch.randn(size, len(values), generator=generator))[
            0
        ].T

        def operator(v):
            return (v[0] + basis.T @ (values * (basis @ v[0])),)

        bound = RecyclingSolver(max_iters=20, tolerance=0.05).bind(operator)
        for _ in range(8):
            along = 20 * torch.randn(len(leading), generator=generator)
            rhs = (
                torch.randn(size, generator=generator) + along @ basis[: len(leading)],
            )
            solution = bound.solve(rhs)
            true = relative_residual(operator, solution.value, rhs)
            assert true < max(2 * solution.residual_norm, 0.075)


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
@pytest.mark.parametrize('share', [0.1, 1.0])
def test_recycling_calls_an_estimate_so(dtype, share):
    """Later right-hand sides in directions that the first ones lack."""
    generator = torch.Generator().manual_seed(0)
    size = 600
    values = 1 + 0.02 * torch.randn(size, generator=generator).to(dtype)
    values[:6] = torch.tensor([21.0, 15.0, 11.0, 8.0, -6.0, 4.0])
    missed = 0
    bound = RecyclingSolver(tolerance=0.1).bind(lambda v: (values * v[0],))
    for step in range(8):
        b = torch.randn(size, generator=generator).to(dtype)
        new = torch.zeros_like(b)
        new[:6], b[:6] = b[:6].clone(), 0
        if step > 2:
            b = (1 - share) ** 0.5 * b / b.norm() + share**0.5 * new / new.norm()
        solution = bound.solve((b,))
        true = relative_residual(lambda v: (values * v[0],), solution.value, (b,))
        assert solution.status in (Status.CONVERGED, Status.ESTIMATED)
        if solution.status is Status.CONVERGED:
            assert true <= 0.1 * (1 + 1e-4)
        missed += true > 0.2
    # The case is one: an estimate was wrong.
    assert missed
