"""Convolutions tap by tap against torch's, in double precision."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from bissl_mm.hypergradient import Hessian
from bissl_mm.hypergradient.second_order.lean import LeanLayers
from bissl_mm.hypergradient.second_order.small_images.taps import TapConv

CASES = {
    '3x3 on 2x2': ((2, 2), (3, 3), (1, 1), (1, 1), (1, 1)),
    'strided': ((4, 4), (3, 3), (2, 2), (1, 1), (1, 1)),
    'point, strided': ((4, 3), (1, 1), (2, 1), (0, 0), (1, 1)),
    'dilated, uneven': ((5, 7), (2, 3), (3, 2), (1, 3), (2, 3)),
    'kernel beyond the image': ((1, 1), (5, 5), (1, 1), (2, 2), (1, 1)),
}


@pytest.mark.parametrize('case', CASES)
def test_three_maps(case):
    in_size, kernel, stride, padding, dilation = CASES[case]
    torch.manual_seed(0)
    x = torch.randn(3, 4, *in_size).double().requires_grad_()
    weight = torch.randn(5, 4, *kernel).double().requires_grad_()
    out = F.conv2d(x, weight, None, stride, padding, dilation)
    grad = torch.randn_like(out)
    expected = torch.autograd.grad(out, (x, weight), grad)
    tiny = TapConv(in_size, out.shape[2:], kernel, stride, padding, dilation)
    taps = tiny.by_tap(weight.detach())
    for found, wanted in (
        (tiny.conv(x.detach(), taps), out.detach()),
        (tiny.input_grad(grad, taps), expected[0]),
        (tiny.weight_grad(grad, x.detach()), expected[1]),
    ):
        torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize('norm', [dict(affine=False), dict(training=False)], ids=str)
def test_one_image_before_a_norm_that_torch_derives(norm):
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 3, 1),
        nn.Softplus(),
        nn.Conv2d(3, 4, 2),
        nn.BatchNorm2d(4, affine=norm.get('affine', True)).train(
            norm.get('training', True)
        ),
        nn.Softplus(),
        nn.Conv2d(4, 2, 1),
    ).double()
    x, params = torch.randn(1, 3, 4, 4).double(), tuple(net.parameters())
    vector = tuple(torch.randn_like(p) for p in params)
    found, wanted = (
        Hessian(
            [lambda: net(x).tanh().square().sum()],
            params,
            small_image_kernels=has_kernels,
        )(vector)
        for has_kernels in (True, False)
    )
    torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize('pixels, kernel, uses', [(3, 3, 1), (4, 3, 0), (4, 4, 0)])
def test_only_tiny_images_are_computed_so(pixels, kernel, uses, monkeypatch):
    calls = []
    kept = TapConv.weight_grad
    monkeypatch.setattr(
        TapConv, 'weight_grad', lambda *args: calls.append(1) or kept(*args)
    )
    x = torch.randn(2, 3, pixels, pixels)
    weight = torch.randn(4, 3, kernel, kernel, requires_grad=True)
    with LeanLayers():
        out = F.conv2d(x, weight, padding=1)
    torch.autograd.grad(out.sum(), weight)
    assert len(calls) == uses
