"""A convolution whose second derivative is four convolutions."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.autograd import Function

from ...utils.compat import is_autocast_enabled
from ...utils.errors import RuntimeRefusal
from .tiny_conv import MAX_PIXELS, MAX_TAPS, TinyConv

_convolution_backward = torch.ops.aten.convolution_backward


def lean_conv(
    lean,
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride=1,
    padding=0,
    dilation=1,
    groups: int = 1,
) -> Tensor | None:
    """``torch.conv2d``, or None where it is left to torch; see
    :class:`LeanLayers`, of which ``lean`` is one."""
    if (
        isinstance(padding, str)
        or input.dim() != 4
        or is_autocast_enabled(input.device.type)
    ):
        return None
    layer = _Layer(_pair(stride), _pair(padding), _pair(dilation), groups, lean)
    return _Conv.apply(input, weight, bias, layer)


def _pair(value) -> list:
    values = [value] if isinstance(value, int) else list(value)
    return values * 2 if len(values) == 1 else values


def refuse_third_derivative() -> None:
    """Where the graph of a product is asked for.

    Raises:
        RuntimeError: With a graph, which what follows would not be in.
    """
    if torch.is_grad_enabled():
        raise RuntimeRefusal(
            'LeanLayers: a third derivative was asked for, and there are two '
            'only. A loss that needs its own gradient has to take it within '
            'the function that returns it.'
        )


class _Layer:
    """The maps of one convolution, linear in each of their arguments.

    Values in the place of input, weight and output, and derivatives in them,
    have their shapes: ``(N, C, H, W)``, ``(O, C / groups, kh, kw)`` and ``(N,
    O, H', W')``.

    Args:
        stride, padding, dilation (list[int]): Two numbers each.
        groups (int): Of the convolution.
        lean (LeanLayers): What the layer was called in.
    """

    def __init__(
        self, stride: list, padding: list, dilation: list, groups: int, lean
    ) -> None:
        self.geometry = (stride, padding, dilation)
        self.groups = groups
        self.lean = lean
        self._tiny: TinyConv | None = None
        self._taps: Tensor | None = None

    def conv(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """As torch does it; what the derivatives need is made ready."""
        out = torch.conv2d(x, weight, bias, *self.geometry, self.groups)
        if (
            x.device.type == 'cpu'
            and self.groups == 1
            and self.lean.product_dtype is None
            and out.shape[2] * out.shape[3] <= MAX_PIXELS
            and weight.shape[2] * weight.shape[3] <= MAX_TAPS
        ):
            self._tiny = TinyConv(
                x.shape[2:], out.shape[2:], weight.shape[2:], *self.geometry
            )
            # Of the layer's own weight, which all products share.
            self._taps = self._tiny.by_tap(weight)
        return out

    def grads(
        self,
        grad: Tensor,
        x: Tensor,
        weight: Tensor,
        mask: Sequence[bool],
        is_product: bool,
    ) -> list:
        """Derivatives in the input, the weight and the bias, as far as
        ``mask`` asks for them; with a weight that is the layer's own."""
        if self._tiny is not None:
            return [
                self._tiny.input_grad(grad, self._taps) if mask[0] else None,
                self._tiny.weight_grad(grad, x) if mask[1] else None,
                grad.sum((0, 2, 3)) if mask[2] else None,
            ]
        return self._torch_grads(grad, x, weight, mask, is_product)

    def plain_grads(
        self, grad: Tensor, x: Tensor, weight: Tensor, mask: Sequence[bool]
    ) -> Sequence[Tensor | None]:
        """As :meth:`grads`, and torch derives it any number of times."""
        return _convolution_backward(
            grad,
            x,
            weight,
            [weight.shape[0]],
            *self.geometry,
            False,
            [0, 0],
            self.groups,
            list(mask),
        )

    def from_weight(
        self, grad: Tensor, x: Tensor, to_weight: Tensor, needs_input: bool
    ) -> Sequence[Tensor | None]:
        """With a weight of another value: the convolution, and the
        derivative in the input if it is needed."""
        if self._tiny is not None:
            taps = self._tiny.by_tap(to_weight)
            return (
                self._tiny.conv(x, taps),
                self._tiny.input_grad(grad, taps) if needs_input else None,
            )
        # Accumulated with a layout of its own here and there.
        to_weight = to_weight.contiguous()
        back_x = (
            self._torch_grads(grad, x, to_weight, [True, False, False], True)[0]
            if needs_input
            else None
        )
        return self._torch_conv(x, to_weight), back_x

    def from_input(
        self, grad: Tensor, to_x: Tensor, weight: Tensor, needs_weight: bool
    ) -> Sequence[Tensor | None]:
        """With an input of another value: the convolution, and the
        derivative in the weight if it is needed."""
        out = (
            self._torch_conv(to_x, weight)
            if self._tiny is None
            else self._tiny.conv(to_x, self._taps)
        )
        back_weight = (
            self.grads(grad, to_x, weight, [False, True, False], True)[1]
            if needs_weight
            else None
        )
        return out, back_weight

    def _torch_conv(self, x: Tensor, weight: Tensor) -> Tensor:
        dtype = self.lean.product_dtype or x.dtype
        return torch.conv2d(
            x.to(dtype), weight.to(dtype), None, *self.geometry, self.groups
        ).to(x.dtype)

    def _torch_grads(
        self,
        grad: Tensor,
        x: Tensor,
        weight: Tensor,
        mask: Sequence[bool],
        is_product: bool,
    ) -> list:
        args = grad, x, weight
        if is_product and self.lean.product_dtype is not None:
            args = [a.to(self.lean.product_dtype) for a in args]
        grads = self.plain_grads(*args, mask)
        return [g if g is None else g.to(x.dtype) for g in grads]


class _Conv(Function):
    @staticmethod
    def forward(ctx, x, weight, bias, layer):
        ctx.save_for_backward(x, weight)
        ctx.layer = layer
        return layer.conv(x, weight, bias)

    @staticmethod
    def backward(ctx, grad):
        x, weight = ctx.saved_tensors
        if ctx.layer.lean.is_open:
            # A gradient within the loss, which is derived twice more.
            return (
                *ctx.layer.plain_grads(grad, x, weight, ctx.needs_input_grad[:3]),
                None,
            )
        # With its graph this is the gradient, without it part of a product.
        return (
            *_ConvBackward.apply(
                grad,
                x,
                weight,
                ctx.layer,
                ctx.needs_input_grad[:3],
                not torch.is_grad_enabled(),
            ),
            None,
        )


class _ConvBackward(Function):
    """Bilinear in the gradient and, each by itself, image and weight."""

    @staticmethod
    def forward(ctx, grad, x, weight, layer, needs, is_product):
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(grad, x, weight)
        ctx.layer = layer
        return tuple(layer.grads(grad, x, weight, needs, is_product))

    @staticmethod
    def backward(ctx, to_x, to_weight, to_bias):
        refuse_third_derivative()
        grad, x, weight = ctx.saved_tensors
        back_grad = back_x = back_weight = None
        if to_weight is not None:
            back_grad, back_x = ctx.layer.from_weight(
                grad, x, to_weight, ctx.needs_input_grad[1]
            )
        if to_x is not None:
            part, back_weight = ctx.layer.from_input(
                grad, to_x, weight, ctx.needs_input_grad[2]
            )
            back_grad = part if back_grad is None else back_grad.add_(part)
        if to_bias is not None:
            part = to_bias.view(1, -1, 1, 1).expand_as(grad)
            back_grad = part if back_grad is None else back_grad.add_(part)
        return back_grad, back_x, back_weight, None, None, None
