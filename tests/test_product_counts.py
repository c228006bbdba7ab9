"""Counts of products on a projected system are those of the system itself."""

from pathlib import Path

import pytest
import torch

from bissl_mm.hypergradient import RecyclingSolver

FOLDER = Path(__file__).resolve().parents[1] / 'benchmarks'


@pytest.fixture()
def counts(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    import product_counts

    return product_counts


@pytest.mark.parametrize('size', [1, 16])
def test_counts_of_the_projection_are_those_of_the_system(counts, size):
    generator = torch.Generator().manual_seed(0)
    values = torch.linspace(0.7, 2.0, 200, dtype=torch.float64)
    rhs = torch.randn(3, 200, generator=generator, dtype=torch.float64)

    def operator(v):
        return (values * v[0],)

    settings = dict(tolerance=0.05, max_basis=size)
    # Deep enough for all directions that the solver takes.
    matrix, small = counts.projected(operator, [(b,) for b in rhs], depth=8)
    found = counts.count(matrix, small, **settings)
    bound, products, left = RecyclingSolver(**settings).bind(operator), 0, []
    for b in rhs:
        solution = bound.solve((b,))
        products += solution.num_iters
        left.append(((b - values * solution.value[0]).norm() / b.norm()).item())
    assert found['products_per_step'] * 3 == products > 3
    assert found['true_residual'] == pytest.approx(max(left), rel=1e-6)


def test_another_damping_is_that_of_the_same_hessian(counts):
    hessian = torch.diag(torch.tensor([-3.0, 0.0, 5.0], dtype=torch.float64))
    eye = torch.eye(3, dtype=torch.float64)
    own = eye + hessian / (0.001 + 10)
    torch.testing.assert_close(counts.damped(own, 2.0), eye + hessian / 2.001)


def test_a_projection_keeps_what_a_vector_meets(counts):
    """With all directions it is the operator in another basis."""
    generator = torch.Generator().manual_seed(1)
    matrix = torch.randn(12, 12, generator=generator, dtype=torch.float64)
    matrix = matrix + matrix.T
    vectors = [(b,) for b in torch.randn(3, 12, generator=generator).double()]
    small, rhs = counts.projected(lambda v: (matrix @ v[0],), vectors, depth=3)
    torch.testing.assert_close(
        torch.linalg.eigvalsh(small), torch.linalg.eigvalsh(matrix), rtol=0, atol=1e-9
    )
    exact = torch.stack([v[0] for v in vectors], dim=1)
    torch.testing.assert_close(rhs.T @ rhs, exact.T @ exact, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(
        rhs.T @ small @ rhs, exact.T @ matrix @ exact, rtol=1e-9, atol=1e-9
    )
