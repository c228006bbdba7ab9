"""Curvature products against curvlinops, which shares no line with them.

It computes with ``torch.func``; the operators here with graphs that are kept,
and with layers of their own for convolutions and batch norms.
"""

import pytest
import torch
from solver_table import DEVICES
from torch import nn
from torch.nn import functional as F

from bissl_mm.hypergradient import GaussNewton, Hessian

curvlinops = pytest.importorskip(
    'curvlinops', reason='curvlinops is not installed (pip install -e .[tests])'
)


@pytest.fixture(params=DEVICES)
def device(request):
    return request.param


@pytest.fixture
def network(device):
    """Two convolutions, one with a stride, batch norms that compute with the
    batch's statistics, a bias and a head."""
    torch.manual_seed(0)
    layers = nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1, bias=False),
        nn.BatchNorm2d(6, track_running_stats=False),
        nn.Tanh(),
        nn.Conv2d(6, 4, 3, stride=2, padding=1, groups=2),
        nn.BatchNorm2d(4, track_running_stats=False),
        nn.Sigmoid(),
        nn.Flatten(),
        nn.Linear(4 * 9, 5),
    )
    with torch.no_grad():
        for p in layers.parameters():
            p.add_(0.1 * torch.randn_like(p))
    return layers.to(device, torch.float64)


@pytest.fixture
def batches(device):
    torch.manual_seed(1)
    return [
        (
            torch.randn(6, 3, 6, 6, dtype=torch.float64, device=device),
            torch.randint(5, (6,), device=device),
        )
        for _ in range(2)
    ]


class WrittenOut(nn.Module):
    """A batch norm by its definition, with the parameters of another.

    torch's forward derivative of its own batch norm's backward is wrong for
    the weight (2.11), and curvlinops takes it.
    """

    def __init__(self, norm):
        super().__init__()
        self.weight, self.bias, self.eps = norm.weight, norm.bias, norm.eps

    def forward(self, x):
        mean = x.mean((0, 2, 3), keepdim=True)
        centred = x - mean
        variance = centred.square().mean((0, 2, 3), keepdim=True)
        scale = self.weight[:, None, None] / (variance + self.eps).sqrt()
        return centred * scale + self.bias[:, None, None]


def written_out(network):
    return nn.Sequential(
        *(WrittenOut(m) if isinstance(m, nn.BatchNorm2d) else m for m in network)
    )


def whole(network, x, y):
    return F.cross_entropy(network(x), y)


def cut(network, x, y):
    outputs = network(x)
    leaf = outputs.detach().requires_grad_()
    return (outputs,), (leaf,), F.cross_entropy(leaf, y)


@pytest.mark.parametrize('second_order', ['lean', 'torch'])
@pytest.mark.parametrize(
    'ours, form, theirs',
    [(Hessian, whole, 'Hessian'), (GaussNewton, cut, 'GGN')],
    ids=['Hessian', 'Gauss-Newton'],
)
def test_products_are_those_of_curvlinops(
    ours, form, theirs, second_order, network, batches
):
    params = list(network.parameters())
    operator = ours(
        [lambda x=x, y=y: form(network, x, y) for x, y in batches],
        params,
        second_order=second_order,
    )
    oracle = getattr(curvlinops, f'{theirs}LinearOperator')(
        written_out(network), nn.CrossEntropyLoss(), params, batches
    )
    for _ in range(2):
        vector = [torch.randn_like(p) for p in params]
        found, expected = operator(tuple(vector)), oracle @ vector
        scale = max(e.abs().max() for e in expected)
        assert scale > 0.1
        for f, e in zip(found, expected, strict=True):
            torch.testing.assert_close(f, e, rtol=1e-9, atol=1e-11 * scale.item())
