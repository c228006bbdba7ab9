"""Batch norm over processes: derivatives, types and collectives."""

import pytest
import torch
from dist_pool import Collectives
from torch import nn

from bissl_mm.hypergradient import Hessian
from bissl_mm.models import DifferentiableSyncBatchNorm
from bissl_mm.models.losses.functional import pure_forward
from bissl_mm.models.pretext.views import pass_views

pytestmark = pytest.mark.dist
SHAPE = (3, 2, 2)


def images(groups):
    """What two ranks pass: of one group they have 2 and 4 images."""
    generator = torch.Generator().manual_seed(1)
    sizes = (2, 4) if groups == 1 else (3, 3)
    return [
        (2 * torch.randn(groups * size, *SHAPE, generator=generator) + 1).double()
        for size in sizes
    ]


def scales(gamma):
    generator = torch.Generator().manual_seed(2)
    weight, bias = torch.randn(2, 3, generator=generator, dtype=torch.float64)
    return weight * (torch.tensor([1.0, 0.0, 1.0]) if gamma == 'zero' else 1), bias


def elementary(inputs, weights, biases, groups, eps):
    """The outputs of all ranks, in elementary operations on the union."""
    parts = [x.chunk(groups) for x in inputs]
    outs = [[] for _ in inputs]
    for group in range(groups):
        union = torch.cat([part[group] for part in parts])
        mean = union.mean((0, 2, 3), keepdim=True)
        var = (union - mean).square().mean((0, 2, 3), keepdim=True)
        for rank, part in enumerate(parts):
            normed = (part[group] - mean) * torch.rsqrt(var + eps)
            wide = [1, -1, 1, 1]
            outs[rank].append(
                normed * weights[rank].view(wide) + biases[rank].view(wide)
            )
    return [torch.cat(out) for out in outs]


def loss_of(outs, rank):
    return (outs.pow(3) * (rank + 1.5)).sum()


def functional_of(grads, rank, skip):
    """Of a rank's gradients in input, scale and shift. The ranks differ."""
    return sum(
        (g.pow(2) * (rank + 0.5) * (i + 1)).sum()
        for i, g in enumerate(grads)
        if i not in skip and g is not None
    )


def union_derivatives(groups, gamma, skip, frozen, eps):
    inputs = [x.requires_grad_(not frozen) for x in images(groups)]
    weights, biases = zip(
        *[[t.clone().requires_grad_() for t in scales(gamma)] for _ in range(2)]
    )
    outs = elementary(inputs, weights, biases, groups, eps)
    leaves = [*weights, *biases] + ([] if frozen else inputs)
    first = torch.autograd.grad(
        sum(loss_of(out, rank) for rank, out in enumerate(outs)),
        leaves,
        create_graph=True,
    )

    def of_rank(found, rank):
        found = list(found)
        x = None if frozen else found[4 + rank]
        return [x, found[rank], found[2 + rank]]

    total = sum(functional_of(of_rank(first, rank), rank, skip) for rank in range(2))
    second = torch.autograd.grad(total, leaves, allow_unused=True)
    return [
        [outs[rank], *of_rank(first, rank), *of_rank(second, rank)] for rank in range(2)
    ]


def layer_derivatives(rank, world, groups, gamma, skip, frozen, eps):
    layer = DifferentiableSyncBatchNorm(3, eps).double()
    layer.num_groups = groups
    with torch.no_grad():
        for param, value in zip((layer.weight, layer.bias), scales(gamma), strict=True):
            param.copy_(value)
    x = images(groups)[rank].requires_grad_(not frozen)
    out = layer(x)
    leaves = [layer.weight, layer.bias] + ([] if frozen else [x])
    first = torch.autograd.grad(loss_of(out, rank), leaves, create_graph=True)
    ordered = [None if frozen else first[2], *first[:2]]
    second = torch.autograd.grad(
        functional_of(ordered, rank, skip), leaves, allow_unused=True
    )
    found = [out, *ordered, None if frozen else second[2], *second[:2]]
    return [None if t is None else t.tolist() for t in found]


CASES = {
    'plain': (1, 'random', (), False),
    'a scale of zero': (1, 'zero', (), False),
    'two groups': (2, 'random', (), False),
    'two groups, a scale of zero': (2, 'zero', (), False),
    'gradients of the scale alone': (2, 'random', (0, 2), False),
    'gradients of the input alone': (1, 'random', (1, 2), False),
    'an input without gradient': (2, 'random', (), True),
}


@pytest.mark.parametrize('case', CASES)
def test_derivatives_equal_those_on_the_union(case, pool):
    given = (*CASES[case], 0.1)
    expected = union_derivatives(*given)
    results = pool.run(layer_derivatives, *given)
    for found, wanted in zip(results, expected, strict=True):
        for a, b in zip(found, wanted, strict=True):
            if b is None or a is None:
                # No gradient, or none but zeros.
                assert a is None and (b is None or not b.any())
                continue
            torch.testing.assert_close(
                torch.tensor(a, dtype=torch.float64), b.detach(), rtol=1e-10, atol=1e-10
            )


def one_image_in_channels_last(rank, world):
    """How far gradient and second derivative of an image for each rank are from
    those on the union."""
    generator = torch.Generator().manual_seed(4)
    both, h = torch.randn(2, 2, *SHAPE, dtype=torch.float64, generator=generator)
    layer = DifferentiableSyncBatchNorm(3).double()

    def derivatives(norm, x, vector):
        x = x.requires_grad_()
        (first,) = torch.autograd.grad(norm(x).pow(3).sum(), x, create_graph=True)
        return first, *torch.autograd.grad(first, x, vector)

    mine = both[rank : rank + 1].contiguous(memory_format=torch.channels_last)
    found = derivatives(layer, mine, h[rank : rank + 1])
    wanted = derivatives(nn.BatchNorm2d(3).double(), both, h)
    return [
        (a.detach() - b.detach()[rank]).abs().max().item()
        for a, b in zip(found, wanted, strict=True)
    ]


def test_one_image_of_each_rank_in_channels_last(pool):
    for errors in pool.run(one_image_in_channels_last):
        assert max(errors) < 1e-10


def passes_nothing(rank, world):
    with pytest.raises(RuntimeError, match=r'of shape \(0, 3, 2, 2\), without a row'):
        DifferentiableSyncBatchNorm(3)(torch.zeros(0, *SHAPE))
    return 'refused'


def test_an_empty_batch_is_refused(pool):
    assert pool.run(passes_nothing) == ['refused'] * 2


def running_statistics(rank, world, kind):
    """Of a batch in two groups, or of the two groups one after the other."""
    x = torch.cat(images(2)).unflatten(0, (2, 2, 3)).transpose(0, 1)
    if kind == 'union':
        layer = nn.BatchNorm2d(3).double()
        for part in x.flatten(1, 2):
            layer(part)
    else:
        layer = DifferentiableSyncBatchNorm(3).double()
        layer.num_groups = 2
        layer(x[:, rank].flatten(0, 1))
    return {k: v.tolist() for k, v in layer.state_dict().items()}


def test_running_statistics_move_once_for_every_group(pool):
    expected = running_statistics(0, 1, 'union')
    assert expected['num_batches_tracked'] == 2
    for found in pool.run(running_statistics, 'ranks'):
        for key, value in expected.items():
            assert found[key] == pytest.approx(value, rel=1e-12), key


def norm_in_evaluation(rank, world):
    """Whether a norm without running statistics takes those of its own batch."""
    x = images(1)[rank]
    layer = DifferentiableSyncBatchNorm(3, track_running_stats=False).double()
    own = nn.BatchNorm2d(3, track_running_stats=False).double()
    found = []
    for mode in (True, False):
        with Collectives() as counted:
            equal = torch.equal(layer.train(mode)(x), own.train(mode)(x))
        found.append((equal, sum(counted.found.values())))
    return found


def test_processes_do_not_wait_for_each_other_in_evaluation(pool):
    for found in pool.run(norm_in_evaluation):
        assert found == [(False, 1), (True, 0)]


def norm_in_bfloat16(rank, world):
    """Means of images whose number a bfloat16 cannot hold, and gradients."""
    generator = torch.Generator().manual_seed(3)
    x = (torch.randn(66, 8, 3, 3, generator=generator) + 1).bfloat16()
    mine = x[33 * rank : 33 * (rank + 1)].requires_grad_()
    layer = DifferentiableSyncBatchNorm(8, momentum=1.0)
    with torch.autocast('cpu', torch.bfloat16):
        out = layer(mine)
    (grad,) = torch.autograd.grad(out.float().pow(3).sum(), mine)
    double = nn.BatchNorm2d(8, momentum=1.0).double()
    whole = x.double().requires_grad_()
    (expected,) = torch.autograd.grad(double(whole).pow(3).sum(), whole)
    error = (grad.double() - expected[33 * rank : 33 * (rank + 1)]).norm()
    means, exact = layer.running_mean.double(), double.running_mean
    return (
        str(out.dtype),
        ((means - exact) / exact).abs().max().item(),
        ((layer.running_var - double.running_var) / double.running_var)
        .abs()
        .max()
        .item(),
        (error / expected.norm()).item(),
    )


def test_statistics_of_bfloat16_images_are_in_single_precision(pool):
    for dtype, mean, var, grad in pool.run(norm_in_bfloat16):
        assert dtype == 'torch.bfloat16'
        # A count of 594 would be 592 in bfloat16, and a sum off by more.
        assert mean < 1e-5 and var < 1e-5
        # Rounding of images and gradients themselves.
        assert grad < 0.02


def collectives(rank, world, share):
    torch.manual_seed(0)
    # The last norm is of each process alone: views must not pass together.
    last = DifferentiableSyncBatchNorm if share else nn.BatchNorm2d
    model = nn.Sequential(
        nn.Conv2d(3, 3, 1), DifferentiableSyncBatchNorm(3), nn.Conv2d(3, 3, 1), last(3)
    )
    views = [x.float() for x in images(1)]
    views = [torch.cat(views)[:3], torch.cat(views)[3:]]

    def closure():
        outs = pass_views([model], model, views)
        return sum(out.pow(3).sum() for out in outs)

    counts = []
    params = tuple(model.parameters())
    for step in (
        lambda: closure(),
        lambda: torch.autograd.grad(closure(), params),
        lambda: operator(params),
    ):
        operator = Hessian([closure], params)
        with Collectives() as counted:
            step()
        counts.append(sum(counted.found.values()))
    return counts


@pytest.mark.parametrize('share', [True, False])
def test_one_collective_for_each_direction_and_norm(share, pool):
    # With two norms of both views, or one norm of each.
    for counts in pool.run(collectives, share):
        assert counts == [2, 4, 4]


def penalty(rank, world):
    """A product with the Hessian of a loss that contains a gradient."""
    torch.manual_seed(0)
    layer = DifferentiableSyncBatchNorm(3, 0.1).double()
    own = elementary if world == 1 else None
    weight = torch.randn(3, dtype=torch.float64).requires_grad_()
    everything = torch.cat(images(1))
    mine = everything if world == 1 else everything.chunk(world)[rank]

    def closure():
        with pure_forward(layer, 0):
            x = mine * weight.view(1, -1, 1, 1)
            ones, zeros = layer.weight, layer.bias
            out = own([x], [ones], [zeros], 1, 0.1)[0] if own else layer(x)
            (grad,) = torch.autograd.grad(out.pow(3).sum(), x, create_graph=True)
            return grad.pow(2).sum() + out.pow(4).sum()

    params = (weight, layer.weight)
    vector = tuple(torch.arange(1.0, 4.0).double() for _ in params)
    return [p.tolist() for p in Hessian([closure], params)(vector)]


def test_a_loss_that_contains_a_gradient(pool):
    expected = torch.tensor(penalty(0, 1), dtype=torch.float64)
    found = sum(torch.tensor(r, dtype=torch.float64) for r in pool.run(penalty))
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)


def third_derivative(rank, world):
    layer = DifferentiableSyncBatchNorm(3).double()
    x = images(1)[rank].requires_grad_()
    for _ in range(2):
        out = layer(x).pow(3).sum()
        (first,) = torch.autograd.grad(out, x, create_graph=True)
    try:
        torch.autograd.grad(first.pow(2).sum(), x, create_graph=True)
    except RuntimeError as error:
        return str(error)


def test_a_third_derivative_outside_of_the_loss_is_refused(pool):
    for text in pool.run(third_derivative):
        assert 'DifferentiableSyncBN: a third derivative was asked for' in text
