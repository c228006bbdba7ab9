"""Convolution and batch norm with a cheap second derivative.

torch derives its backward formulas of both once more from elementary
operations: the weight part of a convolution becomes a convolution with a
kernel as large as the image, and batch norm some twenty passes over the data.
Written out, the second derivative of a convolution is four convolutions that
torch has fast kernels for, and that of batch norm needs its own backward
kernel once and a few sums.
"""

from typing import Optional

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

    Args:
        product_dtype (torch.dtype, optional): In which the convolutions of
            the last derivative compute; their results are of the parameters'
            type again. Loss and gradient are not touched. Defaults to None:
            the parameters'.
    """

    def __init__(self, product_dtype: Optional[torch.dtype] = None) -> None:
        super().__init__()
        self.product_dtype = product_dtype

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func is F.conv2d or func is torch.conv2d:
            result = _lean_conv(self.product_dtype, *args, **kwargs)
        elif func is F.batch_norm:
            result = _lean_batch_norm(*args, **kwargs)
        else:
            result = None
        return func(*args, **kwargs) if result is None else result


def _lean_conv(product_dtype: Optional[torch.dtype], input: Tensor,
               weight: Tensor, bias: Optional[Tensor] = None, stride=1,
               padding=0, dilation=1, groups: int = 1) -> Optional[Tensor]:
    if isinstance(padding, str) or input.dim() != 4 \
            or torch.is_autocast_enabled(input.device.type):
        return None
    return _Conv.apply(input, weight, bias, _pair(stride), _pair(padding),
                       _pair(dilation), groups, product_dtype)


def _pair(value) -> list:
    return [value] * 2 if isinstance(value, int) else list(value)


class _Conv(Function):

    @staticmethod
    def forward(ctx, x, weight, bias, stride, padding, dilation, groups,
                product_dtype):
        ctx.save_for_backward(x, weight)
        ctx.geometry = (stride, padding, dilation, groups)
        ctx.product_dtype = product_dtype
        return _conv(x, weight, bias, ctx.geometry)

    @staticmethod
    def backward(ctx, grad):
        x, weight = ctx.saved_tensors
        # With its graph this is the gradient, without it part of a product.
        dtype = None if torch.is_grad_enabled() else ctx.product_dtype
        return (*_ConvBackward.apply(grad, x, weight, ctx.geometry,
                                     ctx.needs_input_grad[:3], dtype,
                                     ctx.product_dtype),
                None, None, None, None, None)


def _conv(x, weight, bias, geometry, dtype=None):
    if dtype is None:
        return torch.conv2d(x, weight, bias, *geometry)
    return torch.conv2d(x.to(dtype), weight.to(dtype), bias,
                        *geometry).to(x.dtype)


def _conv_grads(grad, x, weight, geometry, mask, dtype=None):
    stride, padding, dilation, groups = geometry
    args = grad, x, weight
    if dtype is not None:
        args = [a.to(dtype) for a in args]
    by_matrix = mask[1] and _is_small(grad, groups)
    grads = [None] * 3
    rest = [mask[0], mask[1] and not by_matrix, mask[2]]
    if any(rest):
        grads = list(_convolution_backward(
            *args, [weight.shape[0]], stride, padding, dilation, False,
            [0, 0], groups, rest))
    if by_matrix:
        grads[1] = _weight_grad(*args, geometry)
    return [g if g is None else g.to(x.dtype) for g in grads]


def _is_small(grad: Tensor, groups: int) -> bool:
    """Images of some ten pixels, where the library's kernel of the processor
    for the weight's gradient takes up to four times as long as a product of
    matrices."""
    return grad.device.type == 'cpu' and groups == 1 \
        and grad.shape[2] * grad.shape[3] <= 9


def _weight_grad(grad, x, weight, geometry):
    stride, padding, dilation, _ = geometry
    patches = F.unfold(x, weight.shape[2:], dilation, padding, stride)
    return torch.mm(
        grad.flatten(2).transpose(0, 1).reshape(len(weight), -1),
        patches.transpose(1, 2).reshape(-1, patches.shape[1])).view_as(weight)


class _ConvBackward(Function):
    """Bilinear in the gradient and, each by itself, image and weight."""

    @staticmethod
    def forward(ctx, grad, x, weight, geometry, needs, dtype, product_dtype):
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(grad, x, weight)
        ctx.geometry = geometry
        ctx.product_dtype = product_dtype
        return tuple(_conv_grads(grad, x, weight, geometry, list(needs),
                                 dtype))

    @staticmethod
    @once_differentiable
    def backward(ctx, to_x, to_weight, to_bias):
        grad, x, weight = ctx.saved_tensors
        geometry, dtype = ctx.geometry, ctx.product_dtype
        back_grad = back_x = back_weight = None
        if to_weight is not None:
            # Accumulated with a layout of its own here and there.
            to_weight = to_weight.contiguous()
            back_grad = _conv(x, to_weight, None, geometry, dtype)
            if ctx.needs_input_grad[1]:
                back_x = _conv_grads(grad, x, to_weight, geometry,
                                     [True, False, False], dtype)[0]
        if to_x is not None:
            part = _conv(to_x, weight, None, geometry, dtype)
            back_grad = part if back_grad is None else back_grad.add_(part)
            if ctx.needs_input_grad[2]:
                back_weight = _conv_grads(grad, to_x, weight, geometry,
                                          [False, True, False], dtype)[1]
        if to_bias is not None:
            part = to_bias.view(1, -1, 1, 1).expand_as(grad)
            back_grad = part if back_grad is None else back_grad.add_(part)
        return back_grad, back_x, back_weight, None, None, None, None


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
