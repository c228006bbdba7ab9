"""Batch norm over processes, with one collective for each derivative.

All that the processes exchange in a pass is packed into one tensor: statistics
and counts in the forward pass, the sums over each channel in the others. It has
the type of the statistics, float32 or better, whatever the type of the images.

The formulas are those of
:mod:`bissl_mm.hypergradient.second_order.norm` with sums over all processes.
"""

from typing import Any, NamedTuple

import torch
from mmengine.dist import all_gather, all_reduce
from torch import Tensor
from torch.autograd import Function

from ...utils.compat import is_transformed
from ...utils.errors import RuntimeRefusal
from ...utils.scales import Scales
from .elementary_norm import elementary_gradients, elementary_norm

_batch_norm = torch.ops.aten.native_batch_norm
_batch_norm_backward = torch.ops.aten.native_batch_norm_backward
_THIRD = (
    'DifferentiableSyncBN: a third derivative was asked for, but on several '
    'processes only two exist. A loss that needs its own gradient must take it '
    'inside the function that returns the loss.'
)


class Statistics(NamedTuple):
    """Mean and biased variance of each group and channel over all processes,
    shape ``(groups, C)``, and the number of values behind each, without
    dimensions. No graph leads to them."""

    mean: Tensor
    var: Tensor
    count: Tensor


def sync_batch_norm(
    norm: Any, x: Tensor, weight: Tensor, bias: Tensor, groups: int
) -> tuple[Tensor, Statistics]:
    """Batch norm with the statistics of all processes.

    All processes call it, and its derivatives, in the same order. Value and
    both derivatives take one collective each. A third derivative is refused,
    except for gradients that a loss takes while ``norm.scales`` is set.

    Args:
        norm (DifferentiableSyncBatchNorm): Whose ``eps`` and ``scales`` are
            read.
        x (Tensor): Shape ``(N, C, ...)``. N may differ between processes,
            and is not 0.
        weight (Tensor): The scale, shape ``(C, )``.
        bias (Tensor): The shift, shape ``(C, )``.
        groups (int): The batch consists of as many groups of equal size, one
            after the other. Each has statistics of its own.

    Returns:
        tuple: The normalised batch, and the statistics.
    """
    if is_transformed():
        out, *statistics = elementary_norm(x, weight, bias, norm.eps, groups)
    else:
        out, *statistics = _SyncNorm.apply(x, weight, bias, norm.eps, groups, norm)
    return out, Statistics(*statistics)


def statistics_type(x: Tensor) -> torch.dtype:
    """The type of statistics and counts: that of ``x``, at least float32."""
    return torch.promote_types(x.dtype, torch.float32)


def _statistics(x: Tensor, groups: int) -> Statistics:
    if not x.numel():
        raise RuntimeRefusal(
            f'A batch norm over processes got a batch of shape {tuple(x.shape)}, without '
            'a row. Give every process images or regions.'
        )
    local = []
    for part in x.to(statistics_type(x)).chunk(groups):
        if part.device.type == 'cpu':
            mean, var = torch.batch_norm_update_stats(part, None, None, 0.0)
        else:
            # The other function has no kernel for fake tensors.
            dims = [0, *range(2, part.dim())]
            var, mean = torch.var_mean(part, dims, correction=0)
        local += [mean, var]
    count = x.numel() // (groups * x.shape[1])
    packed = torch.cat([*local, torch.full_like(local[0][:1], count)])
    rows = torch.stack(all_gather(packed))
    means, variances = rows[:, :-1].view(len(rows), groups, 2, -1).unbind(2)
    total = rows[:, -1].sum()
    shares = (rows[:, -1] / total)[:, None, None]
    mean = (shares * means).sum(0)
    # Not a difference of squares, which would cost digits.
    var = (shares * (variances + (means - mean).square())).sum(0)
    return Statistics(mean, var, total)


class _Images:
    """Sums and sums of images by group and channel.

    Args:
        x (Tensor): The input of the norm, shape ``(N, C, ...)``.
        mean (Tensor): Shape ``(groups, C)``.
        inverse (Tensor): The reciprocal of the standard deviation, the same
            shape.
    """

    def __init__(self, x: Tensor, mean: Tensor, inverse: Tensor) -> None:
        self.x, self.mean, self.inverse = x, mean, inverse
        self.ones = torch.ones_like(mean[0])

    def sums(self, image: Tensor) -> Tensor:
        """The sums of the image times the normalised input, and of the image,
        on this process; shape ``(2, groups, C)``."""
        return self._sums(image, self.x, self.mean, self.inverse)

    def dot(self, image: Tensor, other: Tensor) -> Tensor:
        """The inner product of two images on this process, shape
        ``(groups, C)``."""
        ones = torch.ones_like(self.mean)
        return self._sums(image, other, torch.zeros_like(ones), ones)[0]

    def _sums(self, image: Tensor, x: Tensor, mean: Tensor, inverse: Tensor) -> Tensor:
        groups = len(mean)
        parts = zip(image.chunk(groups), x.chunk(groups), mean, inverse, strict=True)
        found = [
            _batch_norm_backward(
                g, y, self.ones, None, None, m, s, True, 0.0, [False, True, True]
            )[1:]
            for g, y, m, s in parts
        ]
        return torch.stack([torch.stack(pair) for pair in found], 1)

    def sum(
        self, constant: Tensor, on_normed: Tensor, *terms: tuple[Tensor, Tensor]
    ) -> Tensor:
        """A constant, the normalised input times a factor, and images times
        factors. Constant and factors have shape ``(groups, C)``."""
        on_x = on_normed * self.inverse
        wide = self._wide
        out = torch.addcmul(
            wide(constant - on_x * self.mean), self._grouped(self.x), wide(on_x)
        )
        for image, factor in terms:
            out.addcmul_(self._grouped(image), wide(factor))
        out = out.flatten(0, 1).to(self.x.dtype)
        # One image in channels_last has strides here with which torch's kernels pair
        # its pixels with those of another one wrongly, without an error.
        return out.contiguous() if len(out) == 1 else out

    def projected(self, image: Tensor, means: Tensor, weight: Tensor) -> Tensor:
        r""":math:`\gamma s P g` with ``weight`` as :math:`\gamma`, from the
        means of :math:`g \hat x` and of :math:`g` over all processes."""
        scaled = weight * self.inverse
        return self.sum(-scaled * means[1], -scaled * means[0], (image, scaled))

    def _grouped(self, image: Tensor) -> Tensor:
        return image.unflatten(0, (len(self.mean), -1))

    def _wide(self, factor: Tensor) -> Tensor:
        """One value per group and channel, in the shape of one image."""
        one = factor.view(*factor.shape[:1], 1, -1, *[1] * (self.x.dim() - 2))
        if self.x.device.type != 'cpu' or len(self.x) < 4:
            return one
        # A row of one channel is short, and a row of a whole image is long.
        return one.expand(len(one), 1, *self.x.shape[1:]).contiguous()


class _SyncNorm(Function):
    @staticmethod
    def forward(ctx, x, weight, bias, eps, groups, norm):
        ctx.set_materialize_grads(False)
        found = _statistics(x, groups)
        outs = [
            _batch_norm(part, weight, bias, mean, var, False, 0.0, eps)[0]
            for part, mean, var in zip(
                x.chunk(groups), found.mean, found.var, strict=True
            )
        ]
        out = outs[0] if groups == 1 else torch.cat(outs)
        inverse = torch.rsqrt(found.var + eps)
        ctx.save_for_backward(x, weight, found.mean, inverse, found.count)
        ctx.eps, ctx.norm = eps, norm
        ctx.scales = Scales() if norm.scales is None else norm.scales
        ctx.scale = ctx.scales.of(weight)
        ctx.mark_non_differentiable(*found)
        return out, *found

    @staticmethod
    def backward(ctx, grad, *_):
        if grad is None:
            return (None,) * 6
        x, weight, mean, *_ = ctx.saved_tensors
        if torch.is_grad_enabled() and ctx.norm.scales is not None:
            # A gradient that the loss itself takes is derived twice more.
            found = elementary_gradients(grad, x, weight, ctx.eps, len(mean))
            return *found, None, None, None
        found = _SyncNormGradients.apply(
            grad,
            *ctx.saved_tensors,
            ctx.needs_input_grad[0],
            torch.is_grad_enabled() and ctx.scales.are_far(ctx.scale),
        )
        return *found, None, None, None


class _SyncNormGradients(Function):
    r"""The gradients of the norm in input, scale and shift.

    See ``second_order.norm`` for formulas and notation; a bar is a mean over
    all processes. The gradients of scale and shift are those of this process.

    What is kept is :math:`\gamma s P g`, which the convolution before keeps as
    well, or :math:`g` where a :math:`\gamma` is (nearly) zero.
    """

    @staticmethod
    def forward(ctx, grad, x, weight, mean, inverse, count, needs_x, divides):
        ctx.set_materialize_grads(False)
        images, grad = _Images(x, mean, inverse), grad.contiguous()
        local = images.sums(grad)
        to_x, total = None, local
        if needs_x:
            total = _over_ranks(local)
            to_x = images.projected(grad, total / count, weight)
        ctx.needs_x = needs_x
        ctx.divides = needs_x and divides
        ctx.save_for_backward(
            to_x if ctx.divides else grad, x, weight, mean, inverse, count, local, total
        )
        return to_x, local[0].sum(0), local[1].sum(0)

    @staticmethod
    def backward(ctx, h, h_weight, h_bias):
        kept, x, weight, mean, inverse, count, local, total = ctx.saved_tensors
        if torch.is_grad_enabled():
            raise RuntimeRefusal(_THIRD)
        images, none = _Images(x, mean, inverse), torch.zeros_like(mean)
        on_normed = none if h_weight is None else none + h_weight
        constant = none if h_bias is None else none + h_bias
        if not ctx.needs_x:
            return images.sum(constant, on_normed), *[None] * 7
        # s P g is ``projected`` times ``factor``.
        if ctx.divides:
            projected, factor = kept, 1.0 / weight
        else:
            factor = torch.ones_like(weight)
            projected = images.projected(kept, total / count, factor)
        # The processes may differ in h_weight. Its products are summed, too.
        packed = [on_normed * local]
        if h is not None:
            h = h.contiguous()
            in_h = images.sums(h)
            h_dot = images.dot(h, projected) * factor
            packed += [in_h, h_dot[None]]
        sums = _over_ranks(torch.cat(packed)) / count
        # The products are zero where the processes agree, but for rounding.
        to_normed, to_constant = inverse * (on_normed * total / count - sums[:2])
        if h is None:
            return (
                images.sum(constant, on_normed),
                images.sum(to_constant, to_normed, (projected, on_normed * factor)),
                *[None] * 6,
            )
        h_normed, h_mean, h_projected = sums[2:]
        scaled = weight * inverse
        second = scaled * inverse * total[0] / count
        back_grad = images.sum(
            constant - scaled * h_mean, on_normed - scaled * h_normed, (h, scaled)
        )
        back_x = images.sum(
            to_constant + second * h_mean,
            to_normed + second * h_normed - scaled * h_projected,
            (h, -second),
            (projected, (on_normed - scaled * h_normed) * factor),
        )
        # The inner product of g and s P h, of which all processes have the sum
        # above and each has a part of its own.
        differ = total[0] * in_h[0] + total[1] * in_h[1]
        on_weight = h_dot + inverse * (
            differ / count - h_normed * local[0] - h_mean * local[1]
        )
        return back_grad, back_x, on_weight.sum(0), *[None] * 5


def _over_ranks(local: Tensor) -> Tensor:
    total = local.clone()
    all_reduce(total)
    return total
