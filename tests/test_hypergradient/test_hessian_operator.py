"""The operator against dense Hessians by double automatic differentiation."""

import pytest
import torch

from bissl_mm.hypergradient import Hessian, Identity, implicit_operator, materialize


@pytest.fixture
def problem():
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(
        3, 4, generator=generator, dtype=torch.float64
    ).requires_grad_()
    bias = torch.randn(3, generator=generator, dtype=torch.float64).requires_grad_()
    batches = torch.randn(2, 5, 4, generator=generator, dtype=torch.float64)

    def loss(w, b, batch):
        return torch.tanh(batch @ w.T + b).pow(3).sum()

    return (weight, bias), batches, loss


def dense_hessian(loss, params, batch):
    flat = torch.cat([p.detach().flatten() for p in params])

    def of_flat(x):
        w, b = x[:12].view(3, 4), x[12:]
        return loss(w, b, batch)

    return torch.autograd.functional.hessian(of_flat, flat)


def test_operator_equals_the_dense_matrix(problem):
    params, batches, loss = problem
    curvature = Hessian([lambda: loss(*params, batches[0])], params)
    operator = implicit_operator(curvature, reg_weight=0.5, damping=1.5)
    hessian = dense_hessian(loss, params, batches[0])
    expected = torch.eye(15, dtype=torch.float64) + hessian / 2.0
    torch.testing.assert_close(
        materialize(operator, params), expected, rtol=1e-10, atol=1e-12
    )
    assert curvature.num_products == 15
    assert curvature.loss == loss(*params, batches[0])


def test_several_batches_average_their_hessians(problem):
    params, batches, loss = problem
    operator = implicit_operator(
        Hessian([lambda b=b: loss(*params, b) for b in batches], params), 0.5
    )
    hessian = sum(dense_hessian(loss, params, b) for b in batches) / 2
    expected = torch.eye(15, dtype=torch.float64) + hessian / 0.5
    torch.testing.assert_close(
        materialize(operator, params), expected, rtol=1e-10, atol=1e-12
    )


def test_products_are_symmetric_linear_and_repeatable(problem):
    params, batches, loss = problem
    operator = Hessian([lambda: loss(*params, batches[0])], params)
    generator = torch.Generator().manual_seed(3)
    u, v = (
        tuple(
            torch.randn(p.shape, generator=generator, dtype=torch.float64)
            for p in params
        )
        for _ in range(2)
    )
    inner = [
        sum((a * b).sum() for a, b in zip(x, operator(y))) for x, y in ((u, v), (v, u))
    ]
    torch.testing.assert_close(inner[0], inner[1], rtol=1e-10, atol=0.0)
    both = operator(tuple(2 * a - b for a, b in zip(u, v)))
    for c, a, b in zip(both, operator(u), operator(v), strict=True):
        torch.testing.assert_close(c, 2 * a - b, rtol=1e-9, atol=1e-11)
    for a, b in zip(operator(u), operator(u), strict=True):
        assert torch.equal(a, b)


def test_cached_graph_equals_a_rebuilt_one_bit_for_bit(problem):
    params, batches, loss = problem
    vector = tuple(torch.ones_like(p) for p in params)
    cached = Hessian([lambda: loss(*params, batches[0])], params)
    cached(vector)
    rebuilt = Hessian([lambda: loss(*params, batches[0])], params)
    for a, b in zip(cached(vector), rebuilt(vector), strict=True):
        assert torch.equal(a, b)


def test_linear_loss_and_unused_parameter_have_a_zero_hessian():
    used = torch.ones(3, dtype=torch.float64, requires_grad=True)
    unused = torch.ones(2, dtype=torch.float64, requires_grad=True)
    operator = implicit_operator(Hessian([lambda: 2 * used.sum()], (used, unused)), 1.0)
    vector = (torch.ones(3).double(), torch.ones(2).double())
    for a, b in zip(operator(vector), vector, strict=True):
        assert torch.equal(a, b)


def test_products_go_through_the_mean_over_ranks(problem):
    params, batches, loss = problem
    calls = []

    def halve(vectors):
        calls.append(len(vectors))
        return tuple(v / 2 for v in vectors)

    plain = Hessian([lambda: loss(*params, batches[0])], params)
    reduced = Hessian(
        [lambda: loss(*params, batches[0])], params, mean_over_ranks=halve
    )
    vector = tuple(torch.ones_like(p) for p in params)
    for a, b in zip(reduced(vector), plain(vector), strict=True):
        torch.testing.assert_close(a, b / 2)
    assert calls == [2]


def test_changed_parameters_are_noticed(problem):
    params, batches, loss = problem
    operator = Hessian([lambda: loss(*params, batches[0])], params)
    with torch.no_grad():
        params[1].add_(1.0)
    with pytest.raises(RuntimeError, match='changed in place'):
        operator(params)


def test_use_after_close_is_refused(problem):
    params, batches, loss = problem
    operator = Hessian([lambda: loss(*params, batches[0])], params)
    operator.close()
    with pytest.raises(RuntimeError, match='after close'):
        operator(params)


@pytest.mark.parametrize(
    'reg_weight, damping, message',
    [
        (0.0, 0.0, r'lambda \(=0.0\) \+ damping \(=0.0\) is 0'),
        (-1.0, 10.0, 'lambda must be a number of at least 0, but is -1.0'),
        (0.001, float('nan'), 'damping must be .* but is nan'),
    ],
)
def test_impossible_scales_are_refused(problem, reg_weight, damping, message):
    params, batches, loss = problem
    with pytest.raises(ValueError, match=message):
        implicit_operator(
            Hessian([lambda: loss(*params, batches[0])], params), reg_weight, damping
        )


def test_half_precision_is_refused():
    param = torch.ones(2, dtype=torch.bfloat16, requires_grad=True)
    with pytest.raises(TypeError, match='Keep the backbone in float32'):
        Hessian([lambda: param.sum()], (param,))


def test_vectors_of_another_structure_are_refused(problem):
    params, batches, loss = problem
    operator = Hessian([lambda: loss(*params, batches[0])], params)
    with pytest.raises(ValueError, match='has 1 tensors'):
        operator((params[0],))
    with pytest.raises(ValueError, match=r'tensor 1 has shape \(4,\)'):
        operator((params[0], params[0][0]))


def test_operators_take_a_factor():
    """The exact products of a rounded operator are exact."""

    class Rounded(Identity):
        def __call__(self, vectors):
            return tuple(v.round() for v in vectors)

        def exact(self, vectors):
            return vectors

    half = 0.5 * Rounded()
    vector = (torch.tensor([1.2, 3.0]),)
    assert half(vector)[0].tolist() == [0.5, 1.5]
    torch.testing.assert_close(half.exact(vector)[0], vector[0] / 2)
    both = Identity() + half
    torch.testing.assert_close(both.exact(vector)[0], 1.5 * vector[0])
    assert half.is_positive_definite and both.is_positive_definite
    assert not (-1.0 * Rounded()).is_positive_definite
    assert not (Identity() + -1.0 * Rounded()).is_positive_definite
