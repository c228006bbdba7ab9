"""Batch norm whose second derivative is a few sums over each channel.

Everything else is a sum of images, each with one factor per channel. Every
image is therefore read only a few times.
"""

import torch
from torch import Tensor
from torch.autograd import Function

from ...utils.compat import is_autocast_enabled
from .conv import refuse_third_derivative
from .plain_norm import plain_grads

_batch_norm = torch.ops.aten.native_batch_norm
_batch_norm_backward = torch.ops.aten.native_batch_norm_backward


def lean_batch_norm(
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
    """``torch.nn.functional.batch_norm``, or None where it is left to torch.

    The first argument is the :class:`LeanLayers` that it is called in, the
    others are those of ``batch_norm``.
    """
    if (
        not training
        or running_mean is not None
        or weight is None
        or bias is None
        or input.dtype != weight.dtype
        or input.dtype not in (torch.float32, torch.float64)
        or is_autocast_enabled(input.device.type)
    ):
        return None
    if input.numel() == input.shape[1]:
        # One value per channel: torch has its own refusal.
        return None
    return _BatchNorm.apply(input, weight, bias, eps, lean)


class _BatchNorm(Function):
    @staticmethod
    def forward(ctx, x, weight, bias, eps, lean):
        out, mean, inverse = _batch_norm(x, weight, bias, None, None, True, 0.0, eps)
        ctx.save_for_backward(x, weight, mean, inverse)
        ctx.eps, ctx.lean = eps, lean
        ctx.scale = lean.scales.of(weight)
        return out

    @staticmethod
    def backward(ctx, grad):
        x, weight, mean, inverse = ctx.saved_tensors
        if ctx.lean.is_open:
            # A gradient that the loss itself takes is derived twice more.
            # torch's kernel lacks a part of the third derivative.
            return (*plain_grads(grad, x, weight, ctx.eps), None, None)
        return (
            *_BatchNormBackward.apply(
                grad,
                x,
                weight,
                mean,
                inverse,
                ctx.eps,
                torch.is_grad_enabled() and ctx.lean.scales.are_far(ctx.scale),
                ctx.lean.norm_layer,
            ),
            None,
            None,
        )


class NormLayer:
    r"""The sums and maps of one batch norm.

    Args:
        x (Tensor): The input, shape ``(N, C, ...)``.
        weight (Tensor): The scale :math:`\gamma`, shape ``(C, )``.
        mean (Tensor): The mean of each channel, shape ``(C, )``.
        inverse (Tensor): The reciprocal of each channel's standard deviation,
            shape ``(C, )``.
        eps (float): Added to the variance.
    """

    def __init__(
        self, x: Tensor, weight: Tensor, mean: Tensor, inverse: Tensor, eps: float
    ) -> None:
        self.x, self.weight = x, weight
        self.mean, self.inverse = mean, inverse
        self.eps = eps
        self.count = x.numel() // x.shape[1]

    def grads(self, grad: Tensor, weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        r""":math:`\gamma s P g` with ``weight`` as :math:`\gamma`, and the
        sums of :math:`g \hat x` and of :math:`g` over each channel."""
        return self._backward(grad, weight, [True, True, True])

    def sums(self, grad: Tensor) -> tuple[Tensor, Tensor]:
        r"""The sums of :math:`g \hat x` and of :math:`g` over each channel."""
        return self._backward(grad, self.weight, [False, True, True])[1:]

    def _backward(self, grad: Tensor, weight: Tensor, mask: list[bool]):
        return _batch_norm_backward(
            grad,
            self.x,
            weight,
            None,
            None,
            self.mean,
            self.inverse,
            True,
            self.eps,
            mask,
        )

    def dot(self, x: Tensor, y: Tensor) -> Tensor:
        """The inner product of two images, channel by channel."""
        # This is the kernel's sum for an input that is normalised already. It
        # needs no memory for x * y.
        zeros = torch.zeros_like(self.mean)
        return _batch_norm_backward(
            x,
            y,
            self.weight,
            None,
            None,
            zeros,
            torch.ones_like(zeros),
            True,
            self.eps,
            [False, True, True],
        )[1]

    def projection(
        self, on_normed: Tensor, total: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        r"""The factors of :math:`g`, of :math:`x` and of 1 in :math:`s P g`,
        from the sums of :math:`g \hat x` and of :math:`g`."""
        on_x = -self.inverse.square() * on_normed / self.count
        return (
            self.inverse,
            on_x,
            -self.inverse * total / self.count - on_x * self.mean,
        )

    def combine(self, constant: Tensor, *terms: tuple[Tensor, Tensor]) -> Tensor:
        """The sum of a constant and of images times factors.

        Args:
            constant (Tensor): One value per channel, shape ``(C, )``.
            terms (tuple): Pairs of an image and its factor, one value per
                channel. Every image is read once.
        """
        (image, factor), *others = terms
        out = torch.addcmul(self.wide(constant), image, self.wide(factor))
        for image, factor in others:
            out.addcmul_(image, self.wide(factor))
        return out

    def wide(self, channel: Tensor) -> Tensor:
        """One value per channel, in the shape of one image."""
        one = channel.view([1, -1] + [1] * (self.x.dim() - 2))
        if self.x.device.type != 'cpu' or len(self.x) < 4:
            return one
        # A row of one channel is short, and a row of a whole image is long.
        return one.expand(1, *self.x.shape[1:]).contiguous()


class _BatchNormBackward(Function):
    r"""Gradients of batch norm, differentiable once more.

    With :math:`\hat x = s (x - \mu)` and :math:`P g = g - \overline{g} -
    \hat x \, \overline{g \hat x}` (bars are means over a channel), the first
    derivative is :math:`\gamma s P g`, and what follows is its differential:
    :math:`P` is symmetric, and :math:`s` and :math:`\hat x` depend on
    :math:`x` through :math:`\partial s = -s^2 \, \overline{\hat x
    \partial x}` and :math:`\partial \hat x = s P \partial x`.

    What is kept for it is the derivative itself. The convolution before keeps
    the same tensor, so this costs no memory. A division gives :math:`s P g`
    from it. Only where a :math:`\gamma` is (nearly) zero, :math:`g` is kept
    and :math:`s P g` computed anew.
    """

    @staticmethod
    def forward(ctx, grad, x, weight, mean, inverse, eps, divides, kind):
        ctx.set_materialize_grads(False)
        layer = kind(x, weight, mean, inverse, eps)
        to_x, to_weight, to_bias = layer.grads(grad.contiguous(), weight)
        ctx.eps, ctx.kind, ctx.divides = eps, kind, divides
        ctx.save_for_backward(
            None if ctx.divides else grad, x, weight, mean, inverse, to_x, to_weight
        )
        return to_x, to_weight, to_bias

    @staticmethod
    def backward(ctx, h, h_weight, h_bias):
        refuse_third_derivative()
        grad, x, weight, mean, inverse, to_x, grad_sum = ctx.saved_tensors
        layer = ctx.kind(x, weight, mean, inverse, ctx.eps)
        # s P g is ``projected`` times ``factor``.
        if ctx.divides:
            projected, factor = to_x, 1.0 / weight
        else:
            factor = torch.ones_like(weight)
            projected = layer.grads(grad.contiguous(), factor)[0]
        none = torch.zeros_like(weight)
        on_normed = none if h_weight is None else h_weight
        # The part of back_grad without h: a product with the normalised image.
        in_grad = on_normed * inverse
        constant = (none if h_bias is None else h_bias) - in_grad * mean
        if h is None:
            return (
                layer.combine(constant, (x, in_grad)),
                layer.combine(none, (projected, on_normed * factor)),
                *[None] * 6,
            )
        h = h.contiguous()
        sums = layer.sums(h)
        on_h, on_x, rest = layer.projection(*sums)
        back_grad = layer.combine(
            constant + weight * rest, (x, in_grad + weight * on_x), (h, weight * on_h)
        )
        back_weight = layer.dot(h, projected) * factor
        scaled = weight * inverse / layer.count
        in_x = scaled * back_weight * inverse
        second = scaled * grad_sum
        back_x = layer.combine(
            in_x * mean - second * rest,
            (x, -in_x - second * on_x),
            (h, -second * on_h),
            (projected, (on_normed - scaled * sums[0]) * factor),
        )
        return back_grad, back_x, back_weight, *[None] * 5
