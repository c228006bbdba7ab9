"""Batch norm whose second derivative is some sums over each channel.

Between the sums, everything is a sum of images with one factor a channel, so
that every image is read as rarely as can be.
"""

import torch
from torch import Tensor
from torch.autograd import Function

from ...utils.compat import is_autocast_enabled
from .conv import refuse_third_derivative
from .tiny_conv import MAX_PIXELS

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
    """``torch.nn.functional.batch_norm``, or None where it is left to torch;
    see :class:`LeanLayers`, of which ``lean`` is one."""
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
        # One value a channel, which torch refuses with words of its own.
        return None
    return _BatchNorm.apply(input, weight, bias, eps, lean)


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
    """As :func:`lean_batch_norm`, in elementary operations."""
    if not training or running_mean is not None or input.numel() == input.shape[1]:
        return None
    out = _normalised(input, eps)[0]
    for channel, combine in ((weight, torch.mul), (bias, torch.add)):
        if channel is not None:
            out = combine(out, _as_wide(channel, input))
    return out


def _normalised(x: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """The normalised input and the deviation's reciprocal, shape ``(1, C,
    1, ...)``, which torch derives any number of times."""
    dims = [0, *range(2, x.dim())]
    centred = x - x.mean(dims, keepdim=True)
    inverse = (centred.square().mean(dims, keepdim=True) + eps).rsqrt()
    return centred * inverse, inverse


def _as_wide(channel: Tensor, x: Tensor) -> Tensor:
    return channel.view([1, -1] + [1] * (x.dim() - 2))


def _plain_grads(
    grad: Tensor, x: Tensor, weight: Tensor, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Those of batch norm in elementary operations."""
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


class _BatchNorm(Function):
    @staticmethod
    def forward(ctx, x, weight, bias, eps, lean):
        out, mean, inverse = _batch_norm(x, weight, bias, None, None, True, 0.0, eps)
        ctx.save_for_backward(x, weight, mean, inverse)
        ctx.eps, ctx.lean = eps, lean
        return out

    @staticmethod
    def backward(ctx, grad):
        x, weight, mean, inverse = ctx.saved_tensors
        if ctx.lean.is_open:
            # A gradient within the loss, which is derived twice more; of the
            # third derivative torch's kernel has a part only.
            return (*_plain_grads(grad, x, weight, ctx.eps), None, None)
        return (
            *_BatchNormBackward.apply(
                grad, x, weight, mean, inverse, ctx.eps, torch.is_grad_enabled()
            ),
            None,
            None,
        )


class _Layer:
    """What one call of batch norm was about.

    Args:
        x (Tensor): The input, shape ``(N, C, ...)``.
        weight (Tensor): Shape ``(C, )``, as are the next two.
        mean, inverse (Tensor): Of a channel; the standard deviation's
            reciprocal.
        eps (float): Of the variance.
    """

    def __init__(
        self, x: Tensor, weight: Tensor, mean: Tensor, inverse: Tensor, eps: float
    ) -> None:
        self.x, self.weight = x, weight
        self.mean, self.inverse = mean, inverse
        self.eps = eps
        self.count = x.numel() // x.shape[1]
        # The processor's kernels take a channel of an image at a time.
        self.is_tiny = x.device.type == 'cpu' and self.count <= MAX_PIXELS * len(x)

    def grads(self, grad: Tensor, weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        r""":math:`\gamma s P g` with ``weight`` as :math:`\gamma`, and the
        sums of :math:`g \hat x` and of :math:`g`."""
        if not self.is_tiny:
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
                [True, True, True],
            )
        sums = self.sums(grad)
        on_grad, on_x, rest = (weight * c for c in self.projection(*sums))
        return (self.combine(rest, (self.x, on_x), (grad, on_grad)), *sums)

    def sums(self, grad: Tensor) -> tuple[Tensor, Tensor]:
        r"""Of :math:`g \hat x` and of :math:`g` over each channel."""
        if self.is_tiny:
            centred = (self.x - self._wide(self.mean)).mul_(grad)
            return self._total(centred) * self.inverse, self._total(grad)
        return _batch_norm_backward(
            grad,
            self.x,
            self.weight,
            None,
            None,
            self.mean,
            self.inverse,
            True,
            self.eps,
            [False, True, True],
        )[1:]

    def dot(self, x: Tensor, y: Tensor) -> Tensor:
        """Inner product of each channel."""
        if self.is_tiny:
            return self._total(x * y)
        # The kernel's sum for an input that is normalised already: it needs
        # no memory for x * y.
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
        r"""The factors of g, of x and of one in :math:`s P g`, from the sums
        of :math:`g \hat x` and of :math:`g`."""
        on_x = -self.inverse.square() * on_normed / self.count
        return (
            self.inverse,
            on_x,
            -self.inverse * total / self.count - on_x * self.mean,
        )

    def combine(self, constant: Tensor, *terms: tuple[Tensor, Tensor]) -> Tensor:
        """The sum of ``(image, factor)`` and a constant, the factors being
        one a channel; every image is passed once."""
        (image, factor), *others = terms
        out = torch.addcmul(self._wide(constant), image, self._wide(factor))
        for image, factor in others:
            out.addcmul_(image, self._wide(factor))
        return out

    def _total(self, images: Tensor) -> Tensor:
        """Over each channel; images first, where rows are long."""
        return images.flatten(1).sum(0).view(len(self.mean), -1).sum(1)

    def _wide(self, channel: Tensor) -> Tensor:
        """To the shape of one image."""
        one = channel.view([1, -1] + [1] * (self.x.dim() - 2))
        if self.x.device.type != 'cpu' or len(self.x) < 4:
            return one
        # Rows of a channel are short, and those of an image are not.
        return one.expand(1, *self.x.shape[1:]).contiguous()


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
    division. Only where a :math:`\gamma` is (nearly) zero is :math:`g` kept
    and :math:`s P g` computed anew.
    """

    @staticmethod
    def forward(ctx, grad, x, weight, mean, inverse, eps, has_graph):
        ctx.set_materialize_grads(False)
        layer = _Layer(x, weight, mean, inverse, eps)
        to_x, to_weight, to_bias = layer.grads(grad.contiguous(), weight)
        ctx.eps = eps
        # Read from the device here, with the graph, and not in each product.
        ctx.divides = has_graph and weight.abs().min().item() > 1e-6
        ctx.save_for_backward(
            None if ctx.divides else grad, x, weight, mean, inverse, to_x, to_weight
        )
        return to_x, to_weight, to_bias

    @staticmethod
    def backward(ctx, h, h_weight, h_bias):
        refuse_third_derivative()
        grad, x, weight, mean, inverse, to_x, grad_sum = ctx.saved_tensors
        layer = _Layer(x, weight, mean, inverse, ctx.eps)
        # s P g times its factor: the derivative over gamma, or by itself.
        if ctx.divides:
            projected, factor = to_x, 1.0 / weight
        else:
            factor = torch.ones_like(weight)
            projected = layer.grads(grad.contiguous(), factor)[0]
        none = torch.zeros_like(weight)
        on_normed = none if h_weight is None else h_weight
        # Of back_grad, but for h: the product with the normalised image.
        in_grad = on_normed * inverse
        constant = (none if h_bias is None else h_bias) - in_grad * mean
        if h is None:
            return (
                layer.combine(constant, (x, in_grad)),
                layer.combine(none, (projected, on_normed * factor)),
                None,
                None,
                None,
                None,
                None,
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
        return back_grad, back_x, back_weight, None, None, None, None
