"""Convolutions of images of a few pixels, as products of matrices.

At 2 x 2 pixels more than half of what a 3 x 3 kernel meets is padding. The
kernels of the processor's library multiply the padding all the same. Here
every tap of the kernel is multiplied with the pixels that it meets, and with
nothing else.
"""

from collections.abc import Sequence
from functools import cache

from torch import Tensor

#: A tap; the first pixel of the output and of the input that it connects; and
#: for how many pixels in a row it connects both.
Run = tuple[int, int, int, int]


class TapConv:
    """The three bilinear maps of one convolution layer.

    Args:
        in_size (Sequence[int]): Height and width of the input.
        out_size (Sequence[int]): Those of the output.
        kernel, stride, padding, dilation (Sequence[int]): Two numbers each.

    Shapes:
        - x: ``(N, C, *in_size)``, grad: ``(N, O, *out_size)``.
        - Weights by tap, ``(taps, O, C)``; see :meth:`by_tap`.
    """

    def __init__(
        self,
        in_size: Sequence[int],
        out_size: Sequence[int],
        kernel: Sequence[int],
        stride: Sequence[int],
        padding: Sequence[int],
        dilation: Sequence[int],
    ) -> None:
        self._in_size, self._out_size = tuple(in_size), tuple(out_size)
        self._kernel = tuple(kernel)
        self._runs = _runs(
            self._in_size,
            self._out_size,
            self._kernel,
            tuple(stride),
            tuple(padding),
            tuple(dilation),
        )

    def by_tap(self, weight: Tensor) -> Tensor:
        """A weight of shape ``(O, C, *kernel)``, rearranged by tap."""
        return weight.permute(2, 3, 0, 1).contiguous().flatten(0, 1)

    def conv(self, x: Tensor, taps: Tensor) -> Tensor:
        """The convolution without bias; it has the shape of grad."""
        x = _by_pixel(x)
        out = x.new_zeros(_area(self._out_size), x.shape[1], taps.shape[1])
        for tap, to, at, number in self._runs:
            _rows(out, to, number).addmm_(_rows(x, at, number), taps[tap].T)
        return _image(out, self._out_size)

    def input_grad(self, grad: Tensor, taps: Tensor) -> Tensor:
        """The derivative in the input; it has the shape of x."""
        grad = _by_pixel(grad)
        out = grad.new_zeros(_area(self._in_size), grad.shape[1], taps.shape[2])
        for tap, at, to, number in self._runs:
            _rows(out, to, number).addmm_(_rows(grad, at, number), taps[tap])
        return _image(out, self._in_size)

    def weight_grad(self, grad: Tensor, x: Tensor) -> Tensor:
        """The derivative in the weight, shape ``(O, C, *kernel)``."""
        grad, x = _by_pixel(grad), _by_pixel(x)
        out = x.new_zeros(_area(self._kernel), grad.shape[2], x.shape[2])
        for tap, g, at, number in self._runs:
            out[tap].addmm_(_rows(grad, g, number).T, _rows(x, at, number))
        return out.view(*self._kernel, *out.shape[1:]).permute(2, 3, 0, 1)


def _by_pixel(images: Tensor) -> Tensor:
    """Shape ``(pixels, N, channels)``."""
    return images.flatten(2).permute(2, 0, 1).contiguous()


def _image(pixels: Tensor, size: Sequence[int]) -> Tensor:
    images = pixels.permute(1, 2, 0).reshape(*pixels.shape[1:], *size)
    # The view of one image has the strides of channels_last but for the first one.
    # torch's batch norm then pairs its pixels wrongly, without an error.
    return images.contiguous() if len(images) == 1 else images


def _rows(pixels: Tensor, first: int, number: int) -> Tensor:
    return pixels[first : first + number].view(-1, pixels.shape[2])


def _area(size: Sequence[int]) -> int:
    return size[0] * size[1]


@cache
def _runs(
    in_size: Sequence[int],
    out_size: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
) -> list[Run]:
    runs = []
    for tap in range(_area(kernel)):
        step = [
            k * d - p
            for k, d, p in zip(divmod(tap, kernel[1]), dilation, padding, strict=True)
        ]
        for out in range(_area(out_size)):
            y, x = (
                o * s + t
                for o, s, t in zip(divmod(out, out_size[1]), stride, step, strict=True)
            )
            if not (0 <= y < in_size[0] and 0 <= x < in_size[1]):
                continue
            at = y * in_size[1] + x
            last = runs[-1] if runs else (-1, 0, 0, 0)
            if last[0] == tap and (last[1] + last[3], last[2] + last[3]) == (out, at):
                runs[-1] = (*last[:3], last[3] + 1)
            else:
                runs.append((tap, out, at, 1))
    return runs
