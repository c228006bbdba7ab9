"""Batch norm in elementary operations, which torch derives any number of times."""

import torch
from torch import Tensor


def plain_batch_norm(
    lean,
    input: Tensor,
    running_mean,
    running_var,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor | None:
    """The same as :func:`lean_batch_norm`, in elementary operations."""
    if not training or running_mean is not None or input.numel() == input.shape[1]:
        return None
    out = _normalised(input, eps)[0]
    for channel, combine in ((weight, torch.mul), (bias, torch.add)):
        if channel is not None:
            out = combine(out, _as_wide(channel, input))
    return out


def _normalised(x: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """The normalised input, and the reciprocal of the standard deviation,
    shape ``(1, C, 1, ...)``."""
    dims = [0, *range(2, x.dim())]
    centred = x - x.mean(dims, keepdim=True)
    inverse = (centred.square().mean(dims, keepdim=True) + eps).rsqrt()
    return centred * inverse, inverse


def _as_wide(channel: Tensor, x: Tensor) -> Tensor:
    return channel.view([1, -1] + [1] * (x.dim() - 2))


def plain_grads(
    grad: Tensor, x: Tensor, weight: Tensor, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of batch norm in input, weight and bias."""
    dims = [0, *range(2, x.dim())]
    normed, inverse = _normalised(x, eps)
    projected = (
        grad
        - grad.mean(dims, keepdim=True)
        - normed * (grad * normed).mean(dims, keepdim=True)
    )
    return (
        _as_wide(weight, x) * inverse * projected,
        (grad * normed).sum(dims),
        grad.sum(dims),
    )
