"""Convolution and batch norm with a cheap second derivative.

torch derives its backward formulas of both once more from elementary
operations: the weight part of a convolution becomes a convolution with a
kernel as large as the image, and batch norm some twenty passes over the data.
Written out, the second derivative of a convolution is four convolutions that
torch has fast kernels for, and that of batch norm needs its own backward
kernel once and a few sums.
"""

from typing import Optional, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.overrides import TorchFunctionMode

_convolution_backward = torch.ops.aten.convolution_backward
_batch_norm = torch.ops.aten.native_batch_norm
_batch_norm_backward = torch.ops.aten.native_batch_norm_backward


class LeanLayers(TorchFunctionMode):
    """Inside, ``conv2d`` and ``batch_norm`` compute as ever but derive lean.

    Batch norm is replaced where it uses the statistics of the batch and keeps
    no running ones, as in :func:`bissl_mm.models.functional.pure_forward`.
    Third derivatives do not exist.
    """

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func is F.conv2d or func is torch.conv2d:
            result = _lean_conv(*args, **kwargs)
        elif func is F.batch_norm:
            result = _lean_batch_norm(*args, **kwargs)
        else:
            result = None
        return func(*args, **kwargs) if result is None else result


def _lean_conv(input: Tensor, weight: Tensor, bias: Optional[Tensor] = None,
               stride=1, padding=0, dilation=1,
               groups: int = 1) -> Optional[Tensor]:
    if isinstance(padding, str) or input.dim() != 4 \
            or torch.is_autocast_enabled(input.device.type):
        return None
    return _Conv.apply(input, weight, bias, _pair(stride), _pair(padding),
                       _pair(dilation), groups)


def _pair(value) -> list:
    return [value] * 2 if isinstance(value, int) else list(value)


class _Conv(Function):

    @staticmethod
    def forward(ctx, x, weight, bias, stride, padding, dilation, groups):
        ctx.save_for_backward(x, weight)
        ctx.geometry = (stride, padding, dilation, groups)
        ctx.has_bias = bias is not None
        return torch.conv2d(x, weight, bias, stride, padding, dilation,
                            groups)

    @staticmethod
    def backward(ctx, grad):
        x, weight = ctx.saved_tensors
        needs = ctx.needs_input_grad[:3]
        return (*_ConvBackward.apply(grad, x, weight, ctx.geometry, needs),
                None, None, None, None)


def _conv_grads(grad, x, weight, geometry, mask):
    stride, padding, dilation, groups = geometry
    return _convolution_backward(
        grad, x, weight, [weight.shape[0]], stride, padding, dilation, False,
        [0, 0], groups, mask)


class _ConvBackward(Function):
    """Bilinear in the gradient and, each by itself, image and weight."""

    @staticmethod
    def forward(ctx, grad, x, weight, geometry, needs):
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(grad, x, weight)
        ctx.geometry = geometry
        return _conv_grads(grad, x, weight, geometry, list(needs))

    @staticmethod
    @once_differentiable
    def backward(ctx, to_x, to_weight, to_bias):
        grad, x, weight = ctx.saved_tensors
        back_grad = back_x = back_weight = None
        if to_weight is not None:
            # Accumulated with a layout of its own here and there.
            to_weight = to_weight.contiguous()
            back_grad = torch.conv2d(x, to_weight, None, *ctx.geometry)
            if ctx.needs_input_grad[1]:
                back_x = _conv_grads(grad, x, to_weight, ctx.geometry,
                                     [True, False, False])[0]
        if to_x is not None:
            part = torch.conv2d(to_x, weight, None, *ctx.geometry)
            back_grad = part if back_grad is None else back_grad.add_(part)
            if ctx.needs_input_grad[2]:
                back_weight = _conv_grads(grad, to_x, weight, ctx.geometry,
                                          [False, True, False])[1]
        if to_bias is not None:
            part = to_bias.view(1, -1, 1, 1).expand_as(grad)
            back_grad = part if back_grad is None else back_grad.add_(part)
        return back_grad, back_x, back_weight, None, None


def _lean_batch_norm(input: Tensor, running_mean, running_var,
                     weight: Optional[Tensor] = None,
                     bias: Optional[Tensor] = None, training: bool = False,
                     momentum: float = 0.1,
                     eps: float = 1e-5) -> Optional[Tensor]:
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
                                          ctx.eps), None)


def _projected(grad: Tensor, x: Tensor, mean: Tensor, inverse: Tensor,
               eps: float) -> Tuple[Tensor, Tensor, Tensor]:
    r""":math:`s P g` with the sums of :math:`g \hat x` and of :math:`g`."""
    return _batch_norm_backward(grad, x, None, None, None, mean, inverse,
                                True, eps, [True, True, True])


class _BatchNormBackward(Function):
    r"""Gradients of batch norm, differentiable once more.

    With :math:`\hat x = s (x - \mu)` and :math:`P g = g - \overline{g} -
    \hat x \, \overline{g \hat x}` (bars are means over a channel), the first
    derivative is :math:`\gamma s P g`, and what follows is its differential:
    :math:`P` is symmetric, and :math:`s` and :math:`\hat x` depend on
    :math:`x` through :math:`\partial s = -s^2 \, \overline{\hat x
    \partial x}` and :math:`\partial \hat x = s P \partial x`.
    """

    @staticmethod
    def forward(ctx, grad, x, weight, mean, inverse, eps):
        ctx.set_materialize_grads(False)
        projected, to_weight, to_bias = _projected(grad, x, mean, inverse,
                                                   eps)
        shape = [1, -1] + [1] * (x.dim() - 2)
        to_x = projected * weight.view(shape)
        ctx.save_for_backward(grad, x, weight, mean, inverse, projected,
                              to_weight)
        ctx.eps = eps
        ctx.shape = shape
        return to_x, to_weight, to_bias

    @staticmethod
    @once_differentiable
    def backward(ctx, h, h_weight, h_bias):
        (grad, x, weight, mean, inverse, projected,
         grad_sum) = ctx.saved_tensors
        shape = ctx.shape
        count = x.numel() // x.shape[1]

        def wide(channel: Tensor) -> Tensor:
            return channel.view(shape)

        normed = (x - wide(mean)).mul_(wide(inverse))
        zero = torch.zeros_like(weight)
        on_normed = zero if h_weight is None else h_weight
        back_grad = normed * wide(on_normed)
        if h_bias is not None:
            back_grad += wide(h_bias)
        # What multiplies P g s, P h s and the normed input.
        on_projected, on_other, back_weight = on_normed, None, None
        if h is not None:
            h = h.contiguous()
            other, h_sum, _ = _projected(h, x, mean, inverse, ctx.eps)
            back_grad.addcmul_(other, wide(weight))
            scaled = weight * inverse / count
            on_projected = on_normed - scaled * h_sum
            on_other = scaled * grad_sum
            product = (h * projected).sum(
                [d for d in range(x.dim()) if d != 1])
            back_weight = product
            normed.mul_(wide(scaled * product)).neg_()
            normed.addcmul_(other, wide(on_other), value=-1)
            normed.addcmul_(projected, wide(on_projected))
            back_x = normed
        else:
            back_x = projected * wide(on_projected)
        return back_grad, back_x, back_weight, None, None, None
