"""Batch norm whose second derivative needs its backward kernel once."""

from typing import Optional

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

_batch_norm = torch.ops.aten.native_batch_norm
_batch_norm_backward = torch.ops.aten.native_batch_norm_backward


def lean_batch_norm(input: Tensor, running_mean, running_var,
                    weight: Optional[Tensor] = None,
                    bias: Optional[Tensor] = None, training: bool = False,
                    momentum: float = 0.1,
                    eps: float = 1e-5) -> Optional[Tensor]:
    """``torch.nn.functional.batch_norm``, or None where it is left to torch;
    see :class:`LeanLayers`."""
    if not training or running_mean is not None or weight is None \
            or bias is None or input.dtype != weight.dtype \
            or torch.is_autocast_enabled(input.device.type):
        return None
    if input.numel() == input.shape[1]:
        # One value a channel, which torch refuses with words of its own.
        return None
    return _BatchNorm.apply(input, weight, bias, eps)


class _BatchNorm(Function):

    @staticmethod
    def forward(ctx, x, weight, bias, eps):
        out, mean, inverse = _batch_norm(x, weight, bias, None, None, True,
                                         0., eps)
        ctx.save_for_backward(x, weight, mean, inverse)
        ctx.eps = eps
        return out

    @staticmethod
    def backward(ctx, grad):
        x, weight, mean, inverse = ctx.saved_tensors
        return (*_BatchNormBackward.apply(grad, x, weight, mean, inverse,
                                          ctx.eps, torch.is_grad_enabled()),
                None)


def _batch_norm_grads(grad, x, weight, mean, inverse, eps):
    r""":math:`\gamma s P g`, the sums of :math:`g \hat x` and of :math:`g`."""
    return _batch_norm_backward(grad, x, weight, None, None, mean, inverse,
                                True, eps, [True, True, True])


class _BatchNormBackward(Function):
    r"""Gradients of batch norm, differentiable once more.

    With :math:`\hat x = s (x - \mu)` and :math:`P g = g - \overline{g} -
    \hat x \, \overline{g \hat x}` (bars are means over a channel), the first
    derivative is :math:`\gamma s P g`, and what follows is its differential:
    :math:`P` is symmetric, and :math:`s` and :math:`\hat x` depend on
    :math:`x` through :math:`\partial s = -s^2 \, \overline{\hat x
    \partial x}` and :math:`\partial \hat x = s P \partial x`.

    Kept for it is the derivative itself, which the convolution before keeps
    too and which therefore costs no memory; :math:`s P g` is had from it by a
    division, or computed anew where a :math:`\gamma` is (nearly) zero.
    """

    @staticmethod
    def forward(ctx, grad, x, weight, mean, inverse, eps, has_graph):
        ctx.set_materialize_grads(False)
        to_x, to_weight, to_bias = _batch_norm_grads(grad, x, weight, mean,
                                                     inverse, eps)
        ctx.save_for_backward(grad, x, weight, mean, inverse, to_x, to_weight)
        ctx.eps = eps
        # Read from the device here, with the graph, and not in each product.
        ctx.divides = has_graph and weight.abs().min().item() > 1e-6
        return to_x, to_weight, to_bias

    @staticmethod
    @once_differentiable
    def backward(ctx, h, h_weight, h_bias):
        grad, x, weight, mean, inverse, to_x, grad_sum = ctx.saved_tensors
        count = x.numel() // x.shape[1]
        others = [d for d in range(x.dim()) if d != 1]

        def wide(channel: Tensor) -> Tensor:
            return channel.view([1, -1] + [1] * (x.dim() - 2))

        # s P g times its factor: the derivative over gamma, or by itself.
        if ctx.divides:
            projected, factor = to_x, 1. / weight
        else:
            projected = _batch_norm_grads(grad, x, None, mean, inverse,
                                          ctx.eps)[0]
            factor = torch.ones_like(weight)
        on_normed = torch.zeros_like(weight) if h_weight is None else h_weight
        back_weight = None
        if h is None:
            normed = (x - wide(mean)).mul_(wide(inverse))
            back_grad = normed.mul_(wide(on_normed))
            back_x = projected * wide(on_normed * factor)
        else:
            h = h.contiguous()
            other, h_sum, _ = _batch_norm_grads(h, x, None, mean, inverse,
                                                ctx.eps)
            scaled = weight * inverse / count
            back_weight = (h * projected).sum(others) * factor
            # Constants of a channel, so that every image is passed once.
            on_x = scaled * back_weight * inverse
            back_x = torch.addcmul(wide(on_x * mean), x, wide(on_x),
                                   value=-1)
            back_x.addcmul_(other, wide(scaled * grad_sum), value=-1)
            back_x.addcmul_(projected,
                            wide((on_normed - scaled * h_sum) * factor))
            back_grad = other.mul_(wide(weight))
            if h_weight is not None:
                on_x = on_normed * inverse
                back_grad.addcmul_(x, wide(on_x)).sub_(wide(on_x * mean))
        if h_bias is not None:
            back_grad += wide(h_bias)
        return back_grad, back_x, back_weight, None, None, None, None
