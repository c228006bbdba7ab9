"""A convolution whose second derivative is four convolutions."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.autograd import Function

from ...utils.compat import is_autocast_enabled
from ...utils.errors import RuntimeRefusal

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
    """``torch.conv2d``, or None where it is left to torch.

    The first argument is the :class:`LeanLayers` that it is called in, the
    others are those of ``torch.conv2d``.
    """
    if (
        isinstance(padding, str)
        or input.dim() != 4
        or is_autocast_enabled(input.device.type)
    ):
        return None
    geometry = _pair(stride), _pair(padding), _pair(dilation)
    return _Conv.apply(input, weight, bias, lean.conv_layer(*geometry, groups, lean))


def _pair(value) -> list:
    values = [value] if isinstance(value, int) else list(value)
    return values * 2 if len(values) == 1 else values


def refuse_third_derivative() -> None:
    """Refuse to build the graph of a product.

    Raises:
        RuntimeError: If autograd records a graph. The operations that follow
            would not be part of it.
    """
    if torch.is_grad_enabled():
        raise RuntimeRefusal(
            'LeanLayers: a third derivative was asked for, but only two '
            'exist. A loss that needs its own gradient must take it inside '
            'the function that returns the loss.'
        )


class ConvLayer:
    """The maps of one convolution, each linear in each of its arguments.

    Inputs, weights and outputs have the shapes ``(N, C, H, W)``, ``(O, C /
    groups, kh, kw)`` and ``(N, O, H', W')``. A derivative has the shape of
    what it is taken in.

    Args:
        stride, padding, dilation (list[int]): Two numbers each.
        groups (int): Of the convolution.
        lean (LeanLayers): The mode that the layer was called in.
    """

    def __init__(
        self, stride: list, padding: list, dilation: list, groups: int, lean
    ) -> None:
        self.geometry = (stride, padding, dilation)
        self.groups = groups
        self.lean = lean

    def conv(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """The convolution as torch does it."""
        return torch.conv2d(x, weight, bias, *self.geometry, self.groups)

    def grads(
        self,
        grad: Tensor,
        x: Tensor,
        weight: Tensor,
        mask: Sequence[bool],
        is_product: bool,
    ) -> list:
        """Derivatives in the input, the weight and the bias.

        Args:
            grad (Tensor): The derivative in the output.
            x, weight (Tensor): Input and weight; the weight is the layer's
                own.
            mask (Sequence[bool]): Which of the three derivatives are needed.
            is_product (bool): Whether this is part of a product, which may
                have a type of its own.
        """
        return self._torch_grads(grad, x, weight, mask, is_product)

    def plain_grads(
        self, grad: Tensor, x: Tensor, weight: Tensor, mask: Sequence[bool]
    ) -> Sequence[Tensor | None]:
        """The same as :meth:`grads`, which torch derives any number of times."""
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
        """The convolution with a weight of another value, and the derivative
        in the input if it is needed."""
        # autograd accumulates some of these in another memory layout.
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
        """The convolution of an input of another value, and the derivative
        in the weight if it is needed."""
        back_weight = (
            self.grads(grad, to_x, weight, [False, True, False], True)[1]
            if needs_weight
            else None
        )
        return self.product_conv(to_x, weight), back_weight

    def product_conv(self, x: Tensor, weight: Tensor) -> Tensor:
        """The convolution within a product, with the layer's own weight."""
        return self._torch_conv(x, weight)

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
        lean_dtype = self.lean.product_dtype if is_product else None
        dtype = lean_dtype or x.dtype
        grads = self.plain_grads(grad.to(dtype), x.to(dtype), weight.to(dtype), mask)
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
            # A gradient that the loss itself takes is derived twice more.
            return (
                *ctx.layer.plain_grads(grad, x, weight, ctx.needs_input_grad[:3]),
                None,
            )
        # With a graph this is the gradient; without one, part of a product.
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
    """Linear in the gradient, and in image and weight each by itself."""

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
