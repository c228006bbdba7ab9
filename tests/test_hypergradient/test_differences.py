"""Differences of gradients against dense Hessians and double backward."""

import pytest
import torch
from pretext_models import bissl_model, sgd_wrapper
from small_models import views
from torch import nn

from bissl_mm.engine.steps.settings import HypergradientSettings
from bissl_mm.hypergradient import Differences, Hessian, materialize
from bissl_mm.models.checks import kinks_note


def problem(dtype, activation):
    """Loss, parameters and two batches of a small network."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 6), activation, nn.Linear(6, 3)).to(dtype)
    batches = torch.randn(2, 7, 4, dtype=dtype)

    def loss(batch):
        return net(batch).pow(2).sum(1).log1p().mean()

    return net, [lambda b=b: loss(b) for b in batches]


@pytest.mark.parametrize(
    'dtype, step, error',
    # A one-sided difference is off by the third derivative times the step, and
    # by rounding over the step.
    [
        (torch.float64, 1e-5, 1e-4),
        (torch.float64, 1e-6, 1e-5),
        (torch.float32, 1e-5, 0.05),
    ],
)
def test_equals_double_backward_of_a_smooth_network(dtype, step, error):
    net, closures = problem(dtype, nn.GELU())
    params = tuple(net.parameters())
    before = [p.detach().clone() for p in params]
    found = materialize(Differences(closures, params, step=step), params)
    expected = materialize(Hessian(closures, params), params)
    assert (found - expected).norm() <= error * expected.norm()
    assert (found - found.T).norm() <= 2 * error * expected.norm()
    for p, own in zip(params, before):
        assert torch.equal(p, own)


def test_the_error_falls_with_the_step():
    net, closures = problem(torch.float64, nn.Tanh())
    params = tuple(net.parameters())
    vector = tuple(torch.randn_like(p) for p in params)
    exact = torch.cat([h.flatten() for h in Hessian(closures, params)(vector)])
    errors = []
    for step in (1e-3, 1e-4, 1e-5):
        product = Differences(closures, params, step=step)(vector)
        errors.append((torch.cat([h.flatten() for h in product]) - exact).norm())
    assert errors[0] > 8 * errors[1] > 64 * errors[2] > 0


def test_what_has_no_second_derivative_has_differences():
    """A layer whose second derivative nobody wrote."""

    class Cube(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x**3

        @staticmethod
        @torch.autograd.function.once_differentiable
        def backward(ctx, grad):
            (x,) = ctx.saved_tensors
            return 3 * x**2 * grad

    x = torch.tensor([1.0, -2.0], dtype=torch.float64, requires_grad=True)
    product = Differences([lambda: Cube.apply(x).sum()], (x,), step=1e-7)(
        (torch.tensor([1.0, 1.0]).double(),)
    )[0]
    torch.testing.assert_close(
        product, torch.tensor([6.0, -12.0]).double(), rtol=1e-5, atol=1e-5
    )


def test_parameters_are_put_back_after_an_error():
    x = torch.tensor([1.0, -2.0], dtype=torch.float64, requires_grad=True)
    calls = []

    def loss():
        calls.append(x.detach().clone())
        if len(calls) == 2:
            raise RuntimeError('out of memory')
        return x.pow(2).sum()

    operator = Differences([loss], (x,))
    with pytest.raises(RuntimeError, match='out of memory'):
        operator((torch.ones(2).double(),))
    assert not torch.equal(calls[0], calls[1])
    assert torch.equal(x, calls[0])
    # And the operator goes on.
    torch.testing.assert_close(
        operator((torch.ones(2).double(),))[0],
        torch.full((2,), 2.0).double(),
        rtol=1e-4,
        atol=1e-4,
    )


def test_of_a_stage():
    """MAE is smooth throughout: v_IJ is that of double backward."""
    found = {}
    for curvature in ('hessian', 'differences'):
        model = bissl_model('MAE', torch.float64)
        assert kinks_note(model.pretext) is None
        wrapper = sgd_wrapper(
            model, hypergradient=dict(curvature=curvature, damping=0.1)
        )
        batch = dict(inputs=views(4)[0], data_samples=None)
        wrapper.begin_upper_phase(model, [batch], seed=0)
        generator = torch.Generator().manual_seed(1)
        v = tuple(
            torch.randn(p.shape, generator=generator, dtype=p.dtype)
            for p in model.lower_backbone()
        )
        value = wrapper.system.solve(v).value
        found[curvature] = torch.cat([x.flatten() for x in value])
    v = torch.cat([x.flatten() for x in v])
    error = (found['differences'] - found['hessian']).norm()
    assert error <= 1e-3 * (found['hessian'] - v).norm()


def test_refusals_and_the_note():
    net, closures = problem(torch.float32, nn.ReLU())
    params = tuple(net.parameters())
    with pytest.raises(ValueError, match='lost in the rounding of torch.bfloat16'):
        Differences(closures, params, product_dtype=torch.bfloat16)
    with pytest.raises(ValueError, match='lost in the rounding of tf32'):
        Differences(closures, params, product_tf32=True)
    # Of a run at its start, not at its first upper phase.
    for dtype in ('tf32', 'bfloat16'):
        with pytest.raises(ValueError, match=f"dtype='{dtype}'. Set dtype=None, or"):
            HypergradientSettings(curvature='differences', dtype=dtype)
    with pytest.raises(ValueError, match='step must be above 0'):
        Differences(closures, params, step=0.0)
    assert "'1' of the pretext model have kinks (ReLU)" in kinks_note(net)
