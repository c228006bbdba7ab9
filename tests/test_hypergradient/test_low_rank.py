"""Curvatures of low rank: a sketch of the Hessian, and the empirical Fisher."""

import pytest
import torch
from solver_table import INDEFINITE, SIZE, flatten, make_matrix, random_rhs, split
from torch import nn

from bissl_mm.hypergradient import (
    BlockDiagonal,
    CGSolver,
    Diagonal,
    Fisher,
    Identity,
    LowRankSolver,
    Operator,
    implicit_operator,
    materialize,
    relative_residual,
)

#: Eigenvalues of a matrix of rank 5, of both signs.
FEW = torch.zeros(SIZE, dtype=torch.float64)
FEW[:5] = torch.tensor([9.0, -4.0, 3.0, 2.0, -1.0], dtype=torch.float64)


class Matrix(Operator):
    """A dense matrix that counts its products."""

    def __init__(self, matrix):
        self.matrix, self.count = matrix, 0

    def __call__(self, vectors):
        self.count += 1
        return split(self.matrix @ flatten(vectors))


def metrics():
    factors = split(torch.linspace(0.5, 2.0, SIZE, dtype=torch.float64))
    return [
        Identity(),
        Diagonal(factors, True),
        BlockDiagonal(Diagonal(factors[:2], True), 2, 0.3),
    ]


@pytest.mark.parametrize('metric', metrics(), ids=lambda m: type(m).__name__)
@pytest.mark.parametrize('rank', [5, 9, SIZE + 3])
def test_a_matrix_of_no_higher_rank_is_inverted_exactly(metric, rank):
    curvature = Matrix(make_matrix(FEW))
    # The weight is off all eigenvalues: 0.7 + 0.5.
    operator = implicit_operator(curvature, 0.7, 0.5, metric)
    rhs = random_rhs()
    expected = torch.linalg.solve(materialize(operator, rhs), flatten(rhs))
    curvature.count = 0
    found = LowRankSolver(rank, tolerance=1e-8).solve(operator, rhs)
    torch.testing.assert_close(flatten(found.value), expected, rtol=1e-8, atol=1e-8)
    assert curvature.count == found.num_iters + 1
    # Directions that H maps to zero leave the sketch.
    assert found.num_iters == (SIZE if rank > SIZE else rank + 5)
    assert found.residual_norm == pytest.approx(
        relative_residual(operator, found.value, rhs), abs=1e-12
    )


def test_directions_are_the_leading_eigenvectors():
    values = torch.linspace(0.0, 0.01, SIZE, dtype=torch.float64)
    values[-3:] = torch.tensor([-8.0, 10.0, 12.0], dtype=torch.float64)
    matrix = make_matrix(values)
    bound = LowRankSolver(3, passes=4).bind(implicit_operator(Matrix(matrix), 1.0))
    bound.solve(random_rhs())
    state = bound.state_dict()
    _, vectors = torch.linalg.eigh(matrix)
    leading = vectors[:, [0, -2, -1]]
    angles = torch.linalg.svdvals(state['rows'] @ leading)
    torch.testing.assert_close(angles, torch.ones(3, dtype=torch.float64))
    torch.testing.assert_close(
        torch.linalg.eigvalsh(state['small']), values[-3:], rtol=1e-6, atol=0.0
    )


def test_a_sketch_is_kept_over_phases_until_its_measured_error_is_too_large():
    solver, rhs = LowRankSolver(5, tolerance=0.1), random_rhs()
    curvature = Matrix(make_matrix(FEW))
    first = solver.bind(implicit_operator(curvature, 1.2))
    assert first.solve(rhs).num_iters == 10
    state = solver.for_next_phase(first.state_dict())
    noise = make_matrix(INDEFINITE, seed=3)
    for size, num_iters in ((1e-3, 0), (10.0, 10)):
        moved = Matrix(curvature.matrix + size * noise)
        operator = implicit_operator(moved, 1.2)
        bound = solver.bind(operator, state)
        found = bound.solve(rhs)
        assert found.num_iters == num_iters
        # One product for the error, and one more of the renewed sketch.
        assert moved.count == num_iters + (2 if num_iters else 1)
        true = relative_residual(operator, found.value, rhs)
        assert found.residual_norm == pytest.approx(true)
        assert (true <= 0.1) == (num_iters == 0)
        count = moved.count
        again = bound.solve(random_rhs(seed=2))
        assert moved.count == count and again.residual_norm == found.residual_norm

    # Where none is small enough, the old sketch is not measured.
    moved.count = 0
    found = LowRankSolver(5, tolerance=0.0).bind(operator, state).solve(rhs)
    assert (found.num_iters, moved.count) == (10, 10 + 1)


def test_another_weight_needs_no_other_sketch():
    solver, rhs, metric = LowRankSolver(5), random_rhs(), metrics()[1]
    curvature = Matrix(make_matrix(FEW))
    first = solver.bind(implicit_operator(curvature, 1.2, 0.0, metric))
    first.solve(rhs)
    operator = implicit_operator(curvature, 2.3, 0.0, metric)
    bound, curvature.count = solver.bind(operator, first.state_dict()), 0
    found = bound.solve(rhs)
    assert curvature.count == 0
    assert relative_residual(operator, found.value, rhs) < 1e-8


@pytest.fixture
def losses():
    """Losses of a small network on four batches, and its parameters."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).double()
    batches = [torch.randn(5, 3, dtype=torch.float64) for _ in range(4)]
    return [lambda x=x: net(x).square().mean() for x in batches], tuple(
        net.parameters()
    )


def test_empirical_fisher_and_its_inverse_are_those_of_the_dense_matrix(losses):
    closures, params = losses
    gradients = torch.stack(
        [flatten(torch.autograd.grad(c(), params)) for c in closures]
    )
    expected = gradients.T @ gradients / 4
    curvature = Fisher(closures, params)
    torch.testing.assert_close(materialize(curvature, params), expected)
    factors = tuple(torch.rand_like(p) + 0.5 for p in params)
    rhs = tuple(torch.randn_like(p) for p in params)
    operator = implicit_operator(curvature, 1e-3, 0.0, Diagonal(factors, True))
    matrix = torch.diag(flatten(factors)) + 1e3 * expected
    solution = torch.linalg.inv(matrix) @ flatten(rhs)
    curvature.num_products = 0
    found = LowRankSolver(rank=1).solve(operator, rhs)
    torch.testing.assert_close(flatten(found.value), solution)
    # The residual alone.
    assert curvature.num_products == 1 and found.residual_norm < 1e-8
    # Any other solver serves it, too: four eigenvalues are not 1.
    plain = implicit_operator(curvature, 1e-3)
    assert plain.is_positive_definite
    by_steps = CGSolver(6, tolerance=1e-10).solve(plain, rhs)
    assert relative_residual(plain, by_steps.value, rhs) < 1e-8


@pytest.mark.parametrize(
    'make, message',
    [
        (lambda: LowRankSolver(rank=0), 'LowRankSolver: rank must be'),
        (lambda: LowRankSolver(passes=1.5), 'LowRankSolver: passes must be'),
        (lambda: LowRankSolver(tolerance=-0.1), 'LowRankSolver: tolerance must be'),
        (
            lambda: Fisher([lambda: None], random_rhs(), product_tf32=True),
            "curvature='fisher'.* tf32 has no effect. Set dtype=None",
        ),
        (
            lambda: LowRankSolver().bind(
                implicit_operator(
                    Matrix(make_matrix(FEW)), 1.0, metric=Diagonal([0.0], False)
                )
            ),
            'where a parameter is free .*RecyclingSolver',
        ),
    ],
)
def test_settings_that_cannot_work(make, message):
    with pytest.raises(ValueError, match=message):
        make()
