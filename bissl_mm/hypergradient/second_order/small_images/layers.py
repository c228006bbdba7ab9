"""The layers of :mod:`conv` and :mod:`norm`, where images are small."""

from collections.abc import Sequence

from torch import Tensor

from ..conv import ConvLayer
from ..norm import NormLayer
from .taps import TapConv

#: Largest output and kernel, in pixels, that are computed so. Patch embeddings
#: have few patches but larger kernels; there torch's kernel is the faster one.
MAX_PIXELS = 9
MAX_TAPS = 9


class SmallConv(ConvLayer):
    """A convolution that goes over the taps of its kernel, where that pays."""

    _map: TapConv | None = None
    _taps: Tensor | None = None

    def conv(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        out = super().conv(x, weight, bias)
        if (
            x.device.type == 'cpu'
            and self.groups == 1
            and self.lean.product_dtype is None
            and out.shape[2] * out.shape[3] <= MAX_PIXELS
            and weight.shape[2] * weight.shape[3] <= MAX_TAPS
        ):
            self._map = TapConv(
                x.shape[2:], out.shape[2:], weight.shape[2:], *self.geometry
            )
            # The taps of the layer's own weight, which all products share.
            self._taps = self._map.by_tap(weight)
        return out

    def grads(
        self,
        grad: Tensor,
        x: Tensor,
        weight: Tensor,
        mask: Sequence[bool],
        is_product: bool,
    ) -> list:
        if self._map is None or self._taps is None:
            return super().grads(grad, x, weight, mask, is_product)
        return [
            self._map.input_grad(grad, self._taps) if mask[0] else None,
            self._map.weight_grad(grad, x) if mask[1] else None,
            grad.sum((0, 2, 3)) if mask[2] else None,
        ]

    def from_weight(
        self, grad: Tensor, x: Tensor, to_weight: Tensor, needs_input: bool
    ) -> Sequence[Tensor | None]:
        if self._map is None:
            return super().from_weight(grad, x, to_weight, needs_input)
        taps = self._map.by_tap(to_weight)
        return (
            self._map.conv(x, taps),
            self._map.input_grad(grad, taps) if needs_input else None,
        )

    def product_conv(self, x: Tensor, weight: Tensor) -> Tensor:
        if self._map is None or self._taps is None:
            return super().product_conv(x, weight)
        return self._map.conv(x, self._taps)


class SmallNorm(NormLayer):
    """A batch norm whose sums go over whole rows, where images are small.

    torch's kernels take one channel of one image at a time.
    """

    def __init__(self, x: Tensor, *args) -> None:
        super().__init__(x, *args)
        self._is_small = x.device.type == 'cpu' and self.count <= MAX_PIXELS * len(x)

    def grads(self, grad: Tensor, weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        if not self._is_small:
            return super().grads(grad, weight)
        sums = self.sums(grad)
        on_grad, on_x, rest = (weight * c for c in self.projection(*sums))
        return (self.combine(rest, (self.x, on_x), (grad, on_grad)), *sums)

    def sums(self, grad: Tensor) -> tuple[Tensor, Tensor]:
        if not self._is_small:
            return super().sums(grad)
        centred = (self.x - self.wide(self.mean)).mul_(grad)
        return self._total(centred) * self.inverse, self._total(grad)

    def dot(self, x: Tensor, y: Tensor) -> Tensor:
        return self._total(x * y) if self._is_small else super().dot(x, y)

    def _total(self, images: Tensor) -> Tensor:
        """The sum over each channel; over the images first, where rows are
        long."""
        return images.flatten(1).sum(0).view(len(self.mean), -1).sum(1)
