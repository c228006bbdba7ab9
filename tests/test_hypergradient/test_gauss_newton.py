"""The Gauss-Newton operator against dense Jacobians and Hessians."""

import pytest
import torch
from torch.nn.functional import cross_entropy

from bissl_mm.hypergradient import (
    CGSolver,
    GaussNewton,
    Hessian,
    Status,
    implicit_operator,
    materialize,
)
from bissl_mm.hypergradient.linalg.vectors import dot

SHAPES = ((5, 4), (5,), (3, 5))
SIZE = sum(torch.Size(s).numel() for s in SHAPES)
LABELS = torch.tensor([0, 2, 1, 1, 0, 2])


def draw(*shape, seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def outputs_of(params, images):
    """Logits (6, 3) and hidden features (6, 5)."""
    first, bias, second = params
    hidden = torch.tanh(images @ first.T + bias)
    return hidden @ second.T, hidden


def loss_of(logits, hidden):
    """A convex loss with a weight on each term, and a term that couples both."""
    return (
        0.7 * cross_entropy(logits, LABELS)
        + 0.3 * (hidden - 0.5).square().sum()
        + 0.1 * (logits.sum() + hidden.sum()).square()
    )


def cut(outputs, loss):
    """The return value of a closure."""
    leaves = tuple(z.detach().requires_grad_() for z in outputs)
    return outputs, leaves, loss(*leaves)


def dense_gauss_newton(params, images):
    flat = torch.cat([p.detach().flatten() for p in params])

    def flat_outputs(x):
        parts = x.split([torch.Size(s).numel() for s in SHAPES])
        return torch.cat(
            [
                z.flatten()
                for z in outputs_of([p.view(s) for p, s in zip(parts, SHAPES)], images)
            ]
        )

    def flat_loss(z):
        return loss_of(z[:18].view(6, 3), z[18:].view(6, 5))

    jacobian = torch.autograd.functional.jacobian(flat_outputs, flat)
    curvature = torch.autograd.functional.hessian(flat_loss, flat_outputs(flat))
    return jacobian.T @ curvature @ jacobian


@pytest.fixture
def params():
    return tuple(
        draw(*shape, seed=i).requires_grad_() for i, shape in enumerate(SHAPES)
    )


@pytest.fixture
def batches():
    return [draw(6, 4, seed=7 + i) for i in range(2)]


def build(params, batches, **kwargs):
    return GaussNewton(
        [lambda b=b: cut(outputs_of(params, b), loss_of) for b in batches],
        params,
        **kwargs,
    )


@pytest.mark.parametrize('count', [1, 2])
@pytest.mark.parametrize('keep_graphs', [True, False])
def test_operator_equals_the_dense_product(params, batches, count, keep_graphs):
    batches = batches[:count]
    operator = build(params, batches, keep_graphs=keep_graphs)
    expected = sum(dense_gauss_newton(params, b) for b in batches) / count
    found = materialize(operator, params)
    assert (found - expected).norm() <= 1e-10 * expected.norm()
    assert operator.num_products == SIZE
    losses = [loss_of(*outputs_of(params, b)) for b in batches]
    assert operator.loss == torch.stack(losses).mean()


def test_curvature_is_never_negative_where_that_of_the_hessian_is(params, batches):
    gauss_newton = build(params, batches)
    hessian = Hessian(
        [lambda b=b: loss_of(*outputs_of(params, b)) for b in batches], params
    )
    curvatures = []
    for seed in range(100):
        vector = tuple(draw(*s, seed=3 * seed + i) for i, s in enumerate(SHAPES))
        square = dot(vector, vector)
        curvatures.append(
            [dot(vector, o(vector)) / square for o in (gauss_newton, hessian)]
        )
    smallest = torch.tensor(curvatures).amin(dim=0)
    assert smallest[0] >= -1e-12
    assert smallest[1] < -0.1
    # With this, conjugate gradients reach the solution.
    operator = implicit_operator(build(params, batches), 1.0)
    assert operator.is_positive_definite
    assert not implicit_operator(hessian, 1.0).is_positive_definite
    solution = CGSolver(max_iters=SIZE, tolerance=1e-8).solve(operator, params)
    assert solution.status is Status.CONVERGED


def test_least_squares_on_a_linear_model_is_the_hessian():
    weight = draw(3, 4, seed=0).requires_grad_()
    images, target = draw(6, 4, seed=1), draw(6, 3, seed=2)

    def loss(z):
        return 0.5 * (z - target).square().mean()

    gauss_newton = GaussNewton([lambda: cut((images @ weight.T,), loss)], (weight,))
    hessian = Hessian([lambda: loss(images @ weight.T)], (weight,))
    vector = (draw(3, 4, seed=3),)
    torch.testing.assert_close(
        gauss_newton(vector), hessian(vector), rtol=1e-13, atol=0.0
    )


def test_what_has_no_curvature_adds_nothing():
    used, unused = (
        torch.ones(n, dtype=torch.float64, requires_grad=True) for n in (3, 2)
    )
    constant = torch.ones(3, dtype=torch.float64)

    def product(outputs, loss):
        operator = GaussNewton([lambda: cut(outputs(), loss)], (used, unused))
        return operator((torch.ones_like(used), torch.ones_like(unused)))

    def square(z, *others):
        return z.square().sum()

    for outputs, loss in (
        (lambda: (3 * used,), torch.sum),  # linear in the output
        (lambda: (constant,), square),  # of no parameter
        (lambda: (used.detach() + constant,), square),
        (lambda: (constant, used), square),
    ):  # an output unused
        assert all(not p.any() for p in product(outputs, loss))
    first, second = product(lambda: (3 * used, constant), square)
    assert torch.equal(first, torch.full_like(used, 18.0))
    assert not second.any()


def test_products_repeat_and_kept_graphs_equal_rebuilt_ones(params, batches):
    kept = build(params, batches)
    rebuilt = build(params, batches, keep_graphs=False)
    first = kept(params)
    for operator in (kept, rebuilt, kept, rebuilt):
        for a, b in zip(operator(params), first, strict=True):
            assert torch.equal(a, b)


def test_mean_over_ranks_sees_each_product_once(params, batches):
    calls = []

    def halve(vectors):
        calls.append(len(vectors))
        return tuple(v / 2 for v in vectors)

    whole = build(params, batches)(params)
    for a, b in zip(
        build(params, batches, mean_over_ranks=halve)(params), whole, strict=True
    ):
        torch.testing.assert_close(a, b / 2)
    assert calls == [3]


def test_a_loss_that_reaches_past_the_outputs_is_refused(params, batches):
    def closure():
        outputs, leaves, loss = cut(outputs_of(params, batches[0]), loss_of)
        return outputs, leaves, loss + params[1].square().sum()

    with pytest.raises(
        ValueError,
        match=r'batch 0 depends on parameter 1 of '
        r'shape \(5,\) past the outputs.*use the Hessian',
    ):
        GaussNewton([closure], params)


def test_changed_parameters_and_use_after_close_are_refused(params, batches):
    operator = build(params, batches)
    with torch.no_grad():
        params[1].add_(1.0)
    with pytest.raises(RuntimeError, match='GaussNewton: lower .* changed in place'):
        operator(params)
    operator.close()
    with pytest.raises(RuntimeError, match='GaussNewton: used after close'):
        operator(params)


def test_half_precision_and_bad_arguments_are_refused(params, batches):
    half = torch.ones(2, dtype=torch.bfloat16, requires_grad=True)
    with pytest.raises(
        TypeError,
        match='GaussNewton: parameter 0 is '
        'torch.bfloat16.*Keep the backbone in float32',
    ):
        GaussNewton([lambda: None], (half,))
    with pytest.raises(ValueError, match='GaussNewton: got 0 pretext'):
        build(params, [])
    with pytest.raises(ValueError, match='GaussNewton: the vector has 1 tensors'):
        build(params, batches)(params[:1])
