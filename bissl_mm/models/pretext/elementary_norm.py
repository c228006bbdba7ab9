"""Batch norm over processes in elementary operations.

torch derives them any number of times. Each of the two sums over processes is a
collective of its own, in every derivative. :mod:`packed_norm` takes this form
only where its own formulas end.
"""

import torch
from torch import Tensor
from torch.distributed.nn.functional import all_reduce


def elementary_norm(
    x: Tensor, weight: Tensor, bias: Tensor, eps: float, groups: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Batch norm with the statistics of all processes.

    Args:
        x (Tensor): Shape ``(N, C, ...)``.
        weight (Tensor): The scale, shape ``(C, )``.
        bias (Tensor): The shift, shape ``(C, )``.
        eps (float): Added to the variance.
        groups (int): See :func:`packed_norm.sync_batch_norm`.

    Returns:
        tuple: The normalised batch; mean and biased variance, shape
        ``(groups, C)``, and their number of values, without a graph.
    """
    normed, _, mean, var, count = _normed(x, eps, groups)
    wide = [-1] + [1] * (x.dim() - 2)
    out = normed.view(x.shape) * weight.view(wide) + bias.view(wide)
    return out.to(x.dtype), mean.detach(), var.detach(), count


def elementary_gradients(
    grad: Tensor, x: Tensor, weight: Tensor, eps: float, groups: int
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of batch norm in input, scale and shift.

    Args:
        grad (Tensor): The gradient in the output, shape ``(N, C, ...)``.
        x (Tensor): The input, the same shape.
        weight (Tensor): The scale, shape ``(C, )``.
        eps (float): Added to the variance.
        groups (int): See :func:`elementary_norm`.
    """
    normed, inverse, _, _, count = _normed(x, eps, groups)
    grad = grad.to(normed.dtype).view(normed.shape)
    dims = [1, *range(3, normed.dim())]
    products = grad * normed
    local = torch.stack([products.sum(dims), grad.sum(dims)])
    on_normed, mean = (all_reduce(local) / count).view(2, groups, 1, *inverse.shape[2:])
    to_x = inverse * (grad - mean - normed * on_normed)
    to_x = to_x.view(x.shape) * weight.view([-1] + [1] * (x.dim() - 2))
    return to_x.to(x.dtype), local[0].sum(0), local[1].sum(0)


def _normed(x: Tensor, eps: float, groups: int) -> tuple[Tensor, ...]:
    """The normalised input, shape ``(groups, N / groups, C, ...)``; the
    reciprocal of the standard deviation, shape ``(groups, 1, C, 1, ...)``; mean,
    variance and count."""
    images = x.view(groups, -1, *x.shape[1:])
    images = images.to(torch.promote_types(x.dtype, torch.float32))
    dims = [1, *range(3, images.dim())]
    shape = (groups, 1, -1, *[1] * (x.dim() - 2))
    count = images.new_tensor(x.numel() // (groups * x.shape[1]))
    count = all_reduce(count)
    mean = all_reduce(images.sum(dims)) / count
    centred = images - mean.view(shape)
    var = all_reduce(centred.square().sum(dims)) / count
    inverse = torch.rsqrt(var + eps).view(shape)
    return centred * inverse, inverse, mean, var, count
