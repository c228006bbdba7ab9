"""Solves of a phase share their products."""

from collections import Counter

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
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from bissl_mm.hypergradient import (
    MinresSolver,
    RecyclingSolver,
    Status,
    relative_residual,
)
from bissl_mm.hypergradient.linalg.basis import Basis


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
    """Eight solves with one operator that has a few large eigenvalues."""
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
    # Another binding does not have it.
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
    """b.Ab = 0, so the first product alone does not lower the residual."""
    matrix = torch.diag(torch.tensor([1.0] * 7 + [-1.0] * 7)).double()
    rhs = split(torch.ones(SIZE).double())
    operator = Operator(matrix)
    solution = RecyclingSolver(SIZE, tolerance=1e-9).solve(operator, rhs)
    assert solution.status is Status.CONVERGED and operator.count == 2
    torch.testing.assert_close(
        flatten(solution.value), torch.diag(matrix), rtol=1e-9, atol=1e-9
    )


def test_recycling_estimates_what_it_leaves():
    """An estimate is right where it is made, and saves a product."""
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
        # The estimate is right. A product is taken by the first solve, and by the
        # first, the second and the fourth of the others.
        ([0] * 8, [1, 1, 1, 0, 1, 0, 0, 0]),
        # From the third solve on it is wrong, which the third product shows.
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
    """If the rest is not an identity, the known residual is better."""
    matrix = make_matrix(torch.linspace(-40, 60, SIZE).double())
    shared = RecyclingSolver(3, tolerance=1e-3).bind(Operator(matrix))
    for step in range(4):
        rhs = random_rhs(seed=step)
        solution = shared.solve(rhs)
        true = relative_residual(Operator(matrix), solution.value, rhs)
        assert true <= 1
        assert true == pytest.approx(solution.residual_norm, rel=1e-6)


def test_recycling_in_single_precision_on_a_wild_operator():
    """Rounding that the eigenvalues blow up spoils neither basis nor
    residual."""
    generator = torch.Generator().manual_seed(0)
    size = 2000
    # A few large eigenvalues of both signs, as in an untrained network.
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
        pytest.param(
            *([90.0, -70.0, 50.0, -30.0], 3.0, 60, 400, 25), marks=pytest.mark.whole
        ),
        # A is singular, and nearly so.
        ([-1.0], 0.3, 50, 1000, 2),
        ([-1.0003, 50.0], 0.3, 50, 1000, 2),
    ],
)
def test_recycling_reports_the_residual_it_leaves(leading, noise, count, size, seeds):
    """The reported residual in single precision, whether it is solved or not."""
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
    # Check that the case fits: an estimate was wrong.
    assert missed


def test_a_restored_solver_that_has_dropped_products_goes_on_to_the_bit():
    """What is kept is laid out in memory as what a checkpoint gives back."""
    size = 45
    generator = torch.Generator().manual_seed(0)
    matrix = torch.randn(size, size, generator=generator).double()
    matrix = torch.eye(size) + 0.3 * (matrix + matrix.T)
    bound = RecyclingSolver(40, tolerance=1e-9).bind(lambda v: (matrix @ v[0],))
    rhs = torch.randn(8, size, generator=generator).double()
    bound.solve((rhs[0],))
    for row in rhs[1:]:
        restored = bound.solver.bind(bound.operator, bound.state_dict())
        found, expected = restored.solve((row,)), bound.solve((row,))
        assert torch.equal(found.value[0], expected.value[0])


class Devices(TorchDispatchMode):
    """The largest new tensor on each device, in values."""

    def __init__(self):
        super().__init__()
        self.sizes = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        found = func(*args, **(kwargs or {}))
        if isinstance(found, torch.Tensor) and not func.is_view:
            self.sizes[found.device.type] = max(
                self.sizes[found.device.type], found.numel()
            )
        return found


@pytest.mark.filterwarnings('ignore:Accessing the data pointer of FakeTensor')
def test_rows_for_a_checkpoint_take_no_memory_of_the_device():
    rows = torch.arange(30.0).view(6, 5)
    assert torch.equal(Basis(rows).rows, rows)
    with FakeTensorMode():
        try:
            on_device = torch.empty(6, 5, device='cuda')
        except RuntimeError:
            # That of torch 2.1.
            pytest.skip('a fake GPU of this torch needs a driver')
        basis = Basis(on_device)
        with Devices() as seen:
            copy = basis.rows
    assert copy.shape == (6, 5) and copy.device.type == 'cpu'
    assert seen.sizes['cuda'] == 0 < seen.sizes['cpu']
