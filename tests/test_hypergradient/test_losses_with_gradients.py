"""Losses that contain a derivative: their Hessian needs a third derivative."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from bissl_mm.hypergradient import Hessian
from bissl_mm.hypergradient.linalg.vectors import norm, subtract
from bissl_mm.hypergradient.second_order.lean import LeanLayers


class PlainBatchNorm(nn.BatchNorm2d):
    """The norm in elementary operations, which torch derives correctly."""

    def forward(self, x):
        rest = x - x.mean((0, 2, 3), keepdim=True)
        rest = rest / (rest.square().mean((0, 2, 3), keepdim=True) + self.eps).sqrt()
        return rest * self.weight.view(-1, 1, 1) + self.bias.view(-1, 1, 1)


def network(kind, plain=False):
    torch.manual_seed(0)
    norms = {
        'convolutions': nn.Identity,
        'batch norm': lambda: (PlainBatchNorm if plain else nn.BatchNorm2d)(
            4, track_running_stats=False
        ),
        'layer norm': lambda: nn.LayerNorm([4, 5, 5]),
        'instance norm': lambda: nn.InstanceNorm2d(4),
        'running statistics': lambda: nn.BatchNorm2d(4),
    }
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1),
        norms[kind](),
        nn.Tanh(),
        nn.Conv2d(4, 4, 3, stride=2),
        nn.Softplus(),
    ).double()


def image():
    return torch.randn(
        6, 3, 5, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64
    )


def gradient_penalty(net):
    x = image().requires_grad_()
    (grad,) = torch.autograd.grad(net(x).sum(), x, create_graph=True)
    return (grad.flatten(1).norm(dim=1) - 1).square().mean()


def second_derivative_penalty(net):
    x = image().requires_grad_()
    (grad,) = torch.autograd.grad(net(x).sum(), x, create_graph=True)
    (grad,) = torch.autograd.grad(grad.square().sum(), x, create_graph=True)
    return grad.square().sum()


def transformed_gradient(net):
    return torch.func.grad(lambda x: net(x).sum())(image()).square().sum()


def jacobian(net):
    return torch.func.jacrev(lambda x: net(x).mean((0, 2, 3)))(image()).square().sum()


def directional(net):
    x = image()
    return torch.func.jvp(net, (x,), (x.sin(),))[1].square().sum()


def mapped(net):
    return torch.func.vmap(net)(image().view(2, 3, 3, 5, 5)).square().sum()


def expected_product(net, loss, vectors, step=1e-5):
    """The product by central differences of the gradient."""
    params, ends = tuple(net.parameters()), []
    for sign in (1, -1):
        with torch.no_grad():
            torch._foreach_add_(params, vectors, alpha=sign * step)
        grads = torch.autograd.grad(loss(net), params, allow_unused=True)
        ends.append(
            tuple(
                torch.zeros_like(p) if g is None else g for g, p in zip(grads, params)
            )
        )
        with torch.no_grad():
            torch._foreach_add_(params, vectors, alpha=-sign * step)
    return tuple((a - b) / (2 * step) for a, b in zip(*ends, strict=True))


@pytest.mark.parametrize('kind', ['convolutions', 'batch norm'])
@pytest.mark.parametrize(
    'loss',
    [
        gradient_penalty,
        second_derivative_penalty,
        transformed_gradient,
        jacobian,
        directional,
        mapped,
    ],
)
def test_product_of_a_loss_that_holds_a_derivative(kind, loss):
    net, plain = network(kind), network(kind, plain=True)
    vectors = tuple(torch.randn_like(p) for p in net.parameters())
    found = Hessian([lambda: loss(net)], tuple(net.parameters()))(vectors)
    expected = expected_product(plain, loss, vectors)
    assert norm(subtract(found, expected)) < 1e-6 * norm(expected)


@pytest.mark.parametrize('kind', ['layer norm', 'instance norm', 'running statistics'])
@pytest.mark.parametrize('loss', [gradient_penalty, directional])
def test_norms_that_torch_derives_wrongly_are_refused(kind, loss):
    if kind == 'running statistics' and loss is directional:
        pytest.skip('torch itself refuses to change them in a transform')
    net = network(kind)
    params = tuple(net.parameters())
    with pytest.raises(
        ValueError, match='contains a gradient of its own.*Take GroupNorm instead'
    ):
        Hessian([lambda: loss(net)], params)
    # Without a gradient in the loss there is nothing to refuse.
    Hessian([lambda: net(image()).square().sum()], params)


def test_gradient_within_the_loss_is_not_rounded():
    """bfloat16 is for products only, not for a gradient in the loss."""
    net = network('convolutions').float()
    x = image().float().requires_grad_()

    def closure():
        return (
            torch.autograd.grad(net(x).sum(), x)[0].square().sum()
            + net(x).square().sum()
        )

    params = tuple(net.parameters())
    exact, rough = (
        Hessian([closure], params, product_dtype=d) for d in (None, torch.bfloat16)
    )
    assert torch.equal(exact.loss, rough.loss)


@pytest.mark.parametrize('layer', ['convolution', 'batch norm'])
def test_third_derivative_outside_the_loss_is_refused(layer):
    x = image().requires_grad_()
    weight = torch.randn(3, 3, 2, 2).double().requires_grad_()
    gamma = torch.ones(3).double().requires_grad_()
    with LeanLayers():
        out = (
            F.conv2d(x, weight)
            if layer == 'convolution'
            else F.batch_norm(x, None, None, gamma, gamma, True)
        )
    (first,) = torch.autograd.grad(out.pow(3).sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match='a third derivative was asked'):
        torch.autograd.grad(first.pow(3).sum(), x, create_graph=True)
