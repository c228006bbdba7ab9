"""Second derivatives against torch's own, in double precision."""

import pytest
import torch
import torch.nn.functional as F

from bissl_mm.hypergradient import Hessian
from bissl_mm.hypergradient.linalg.vectors import norm, subtract
from bissl_mm.hypergradient.second_order.lean import LeanLayers

CONVS = {
    'plain': (dict(), 3, 4),
    'strided': (dict(stride=2, padding=1), 3, 4),
    'uneven': (dict(stride=2), 3, 4),
    'dilated': (dict(padding=(2, 4), dilation=(2, 4)), 3, 4),
    'grouped': (dict(padding=1, groups=2), 2, 4),
    'point': (dict(stride=2), 1, 4),
}


def second_derivatives(function, tensors, lean, skip=()):
    """Value, gradients, and gradients of a functional of the gradients."""
    with LeanLayers() if lean else torch.enable_grad():
        out = function(*tensors)
    torch.manual_seed(3)
    wanted = [t for i, t in enumerate(tensors) if t.requires_grad]

    def random(shape):
        return torch.randn(shape, dtype=torch.float64).to(out.dtype)

    loss = (out * random(out.shape)).sum() + out.pow(3).sum()
    first = torch.autograd.grad(loss, wanted, create_graph=True)
    # Only shapes count: a gradient may have another memory layout.
    total = sum(
        (g * random(g.shape)).sum() for i, g in enumerate(first) if i not in skip
    )
    second = torch.autograd.grad(total, wanted, allow_unused=True)
    return [out.detach(), *first, *second]


def assert_same(function, tensors, skip=()):
    expected = second_derivatives(function, tensors, False, skip)
    found = second_derivatives(function, tensors, True, skip)
    for a, b in zip(found, expected, strict=True):
        if b is not None or a is not None:
            torch.testing.assert_close(
                torch.zeros_like(b) if a is None else a, b, rtol=1e-10, atol=1e-10
            )


@pytest.mark.parametrize('bias', [False, True])
@pytest.mark.parametrize('case', CONVS)
@pytest.mark.parametrize('skip', [(), (0,), (1,)])
def test_convolution(case, bias, skip):
    kwargs, kernel, channels = CONVS[case]
    torch.manual_seed(0)
    x = torch.randn(3, channels, 9, 8).double().requires_grad_()
    w = (
        torch.randn(6, channels // kwargs.get('groups', 1), kernel, kernel)
        .double()
        .requires_grad_()
    )
    b = [torch.randn(6).double().requires_grad_()] if bias else []
    assert_same(lambda *t: F.conv2d(*t, **kwargs), [x, w, *b], skip)


@pytest.mark.parametrize(
    'kernel, kwargs',
    [
        (3, dict(padding=1)),
        (3, dict(padding=1, stride=2)),
        (1, dict()),
        (2, dict(padding=(2, 1), dilation=(2, 1), stride=(3, 1))),
        # One number in a tuple stands for both.
        (3, dict(padding=(1,), stride=[2], dilation=(1,))),
    ],
)
def test_convolution_of_small_images(kernel, kwargs):
    torch.manual_seed(0)
    x = torch.randn(5, 3, 3, 2).double().requires_grad_()
    w = torch.randn(4, 3, kernel, kernel).double().requires_grad_()
    b = torch.randn(4).double().requires_grad_()
    assert F.conv2d(x, w, **kwargs)[0, 0].numel() <= 9
    assert_same(lambda *t: F.conv2d(*t, **kwargs), [x, w, b])


def test_convolution_of_an_image_without_gradient():
    torch.manual_seed(0)
    x = torch.randn(2, 3, 8, 8).double()
    w = torch.randn(4, 3, 3, 3).double().requires_grad_()
    assert_same(lambda *t: F.conv2d(*t, padding=1), [x, w])


# Above and up to the size that is called tiny.
@pytest.mark.parametrize('shape', [(5, 3, 4, 6), (5, 3, 11), (5, 3, 3, 2), (7, 3)])
@pytest.mark.parametrize('skip', [(), (0,), (1,), (2,), (1, 2)])
@pytest.mark.parametrize('gamma', ['random', 'zero'])
def test_batch_norm(shape, skip, gamma):
    torch.manual_seed(0)
    x = (2 * torch.randn(shape) + 1).double().requires_grad_()
    # Residual networks start with zeros in the last norm of each block.
    weight = (
        (torch.zeros(3) if gamma == 'zero' else torch.randn(3))
        .double()
        .requires_grad_()
    )
    bias = torch.randn(3).double().requires_grad_()
    assert_same(
        lambda *t: F.batch_norm(t[0], None, None, t[1], t[2], True, 0.1, 0.3),
        [x, weight, bias],
        skip,
    )


@pytest.mark.parametrize('size', [2, 5])
def test_batch_norm_of_images_with_the_channels_last(size):
    torch.manual_seed(0)
    x = (
        torch.randn(4, 3, size, size)
        .double()
        .to(memory_format=torch.channels_last)
        .requires_grad_()
    )
    weight, bias = (torch.randn(3).double().requires_grad_() for _ in range(2))
    assert_same(
        lambda *t: F.batch_norm(t[0], None, None, t[1], t[2], True), [x, weight, bias]
    )


@pytest.mark.parametrize('size', [2, 8])
def test_batch_norm_far_from_zero_in_single_precision(size):
    """Means of a hundred deviations cost two digits, as in torch's kernel.

    The images hold their deviations to no more than a hundred eps. Variances
    as differences of squares would cost four digits.
    """
    deviations = 100
    torch.manual_seed(0)
    tensors = [
        torch.randn(16, 3, size, size) + deviations,
        torch.rand(3) + 0.5,
        torch.randn(3),
    ]

    def function(x, weight, bias):
        return F.batch_norm(x, None, None, weight, bias, True)

    # Some roundings of that size, one after the other.
    bound = 10 * deviations * torch.finfo(torch.float32).eps
    found, expected = (
        second_derivatives(
            function, [t.to(dtype).requires_grad_() for t in tensors], lean
        )
        for dtype, lean in ((torch.float32, True), (torch.float64, False))
    )
    for a, b in zip(found, expected, strict=True):
        assert (a - b).norm() < bound * b.norm()


def is_torchs(output):
    """Whether torch's own layer computed it, not a function in Python."""
    return not isinstance(output.grad_fn, torch.autograd.function.BackwardCFunction)


def test_other_norms_and_autocast_go_to_torch():
    x, mean, var = torch.randn(4, 3, 5, 5), torch.zeros(3), torch.ones(3)
    x.requires_grad_()
    w = torch.randn(2, 3, 3, 3)
    with LeanLayers():
        assert is_torchs(F.batch_norm(x, mean, var, var, mean, False))
        assert is_torchs(F.batch_norm(x, mean.clone(), var.clone(), var, mean, True))
        assert is_torchs(F.batch_norm(x, None, None, training=True))
        halves = (t if t is None else t.bfloat16() for t in (x, None, None, var, mean))
        assert is_torchs(F.batch_norm(*halves, True))
        assert is_torchs(F.conv2d(x, w, padding='same'))
        with torch.autocast('cpu', torch.bfloat16):
            found = F.conv2d(x, w)
            assert is_torchs(found) and found.dtype == torch.bfloat16
        with pytest.raises(ValueError, match='more than 1 value'):
            F.batch_norm(x[:1, :, :1, :1], None, None, var, mean, True)
        assert not is_torchs(F.conv2d(x, w))
        assert not is_torchs(F.batch_norm(x, None, None, var, mean, True))


def test_bfloat16_touches_the_product_alone():
    """Loss and gradient do not change; products change by 8-bit rounding."""
    torch.manual_seed(0)
    x = torch.randn(8, 8, 12, 12)
    weights = [torch.randn(8, 8, 3, 3).mul(0.1).requires_grad_() for _ in range(3)]

    def closure():
        y = x
        for w in weights:
            y = F.conv2d(y, w, padding=1).tanh()
        return y.pow(3).mean()

    vector = tuple(torch.randn_like(w) for w in weights)
    exact = Hessian([closure], weights)
    rough = Hessian([closure], weights, product_dtype=torch.bfloat16)
    assert torch.equal(exact.loss, rough.loss)
    gradients = []
    for dtype in (None, torch.bfloat16):
        with LeanLayers(dtype):
            loss = closure()
        gradients.append(torch.autograd.grad(loss, weights, create_graph=True))
    for a, b in zip(*gradients, strict=True):
        assert torch.equal(a, b)
    expected, found = exact(vector), rough(vector)
    error = norm(subtract(found, expected)) / norm(expected)
    assert 1e-4 < error < 2e-2
    assert all(f.dtype == torch.float32 for f in found)


def test_the_layers_can_be_left_to_torch():
    torch.manual_seed(0)
    x = torch.randn(6, 3, 8, 8).double()
    weight = torch.randn(4, 3, 3, 3).double().requires_grad_()
    gamma = torch.rand(4).double().requires_grad_()
    params = (weight, gamma)

    made_by_torch = []

    def closure():
        z = F.conv2d(x, weight)
        y = F.batch_norm(z, None, None, gamma, torch.zeros_like(gamma), True)
        made_by_torch.append((is_torchs(z), is_torchs(y)))
        return y.tanh().pow(3).mean()

    vector = tuple(torch.randn_like(p) for p in params)
    lean, torchs = (
        Hessian([closure], params, second_order=kind) for kind in ('lean', 'torch')
    )
    for a, b in zip(lean(vector), torchs(vector), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)
    assert made_by_torch == [(False, False), (True, True)]


@pytest.mark.parametrize('second_order', ['lean', 'torch'])
@pytest.mark.parametrize('inplace', [False, True])
def test_hardsigmoid_has_the_second_derivative_that_torch_lacks(second_order, inplace):
    generator = torch.Generator().manual_seed(0)
    x, start = (
        torch.randn(shape, generator=generator, dtype=torch.float64)
        for shape in ((6, 4), (4, 5))
    )
    weight = (2 * start).requires_grad_()
    gate = torch.nn.Hardsigmoid(inplace)

    def closure():
        z = x @ weight
        return (gate(z.clone()) * z.sin()).pow(3).mean()

    product = Hessian([closure], (weight,), second_order=second_order)
    (found,) = product((start,))

    def gradient(step):
        moved = (weight + step * start).detach().requires_grad_()
        z = x @ moved
        loss = (gate(z.clone()) * z.sin()).pow(3).mean()
        return torch.autograd.grad(loss, moved)[0]

    expected = (gradient(1e-7) - gradient(-1e-7)) / 2e-7
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-8)
    # Some values are within the sloping part, and some beyond either end.
    assert {-1, 0, 1} == set(
        ((x @ weight / 3).clamp(-1.1, 1.1)).int().flatten().tolist()
    )
