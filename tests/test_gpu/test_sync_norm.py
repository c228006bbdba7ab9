"""The formulas of the synchronised norm against torch's batch norm, by device.

In one process its collectives do nothing, and the rest is the same.
"""

import pytest
import torch
import torch.nn.functional as F

from bissl_mm.models import DifferentiableSyncBatchNorm
from bissl_mm.models.pretext.packed_norm import sync_batch_norm

SHAPES = [(8, 5, 6, 7), (8, 5)]


def derivatives(norm, device, dtype, shape, gamma):
    """Value, gradients, and gradients of a functional of the gradients."""
    draw = torch.Generator().manual_seed(0)
    x, pull, push = (torch.randn(shape, generator=draw).bfloat16() for _ in range(3))
    # Scale and shift stay in single precision under autocast.
    wide = torch.promote_types(dtype, torch.float32)
    weight, bias = (
        torch.randn(5, generator=draw).mul(keep).to(device, wide).requires_grad_()
        for keep in (torch.tensor([1, 1, gamma, 1, 1]), 1)
    )
    x = (x + 1).to(device, dtype).requires_grad_()
    leaves = (x, weight, bias)
    out = norm(*leaves)
    loss = (out.to(wide).pow(3) * pull.to(device, wide)).sum()
    first = torch.autograd.grad(loss, leaves, create_graph=True)
    total = (first[0].to(wide) * push.to(device, wide)).sum() + first[1].pow(2).sum()
    second = torch.autograd.grad(total, leaves, allow_unused=True)
    return [
        t.detach().double().cpu()
        for t in (out, *first, *second)
        if t is not None and t.numel()
    ]


@pytest.mark.parametrize('shape', SHAPES, ids=['images', 'rows'])
@pytest.mark.parametrize(
    'dtype, tolerance',
    [(torch.float64, 1e-10), (torch.float32, 1e-4), (torch.bfloat16, 0.05)],
    ids=['double', 'single', 'bfloat16'],
)
@pytest.mark.parametrize('gamma', [0, 1])
def test_derivatives(device, dtype, tolerance, shape, gamma):
    layer = DifferentiableSyncBatchNorm(5, eps=0.1)

    def packed(x, weight, bias):
        return sync_batch_norm(layer, x, weight, bias, 2)[0]

    def torchs(x, weight, bias):
        parts = [
            F.batch_norm(part, None, None, weight, bias, True, 0.1, 0.1)
            for part in x.chunk(2)
        ]
        return torch.cat(parts)

    found = derivatives(packed, device, dtype, shape, gamma)
    expected = derivatives(torchs, 'cpu', torch.float64, shape, gamma)
    for a, b in zip(found, expected, strict=True):
        assert (a - b).norm() <= tolerance * b.norm()
