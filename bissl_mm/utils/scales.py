"""Which batch norms have a scale near zero, read from the device at once."""

import torch
from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary

#: A scale of this size can be divided by.
_LEAST = 1e-6


class Scale:
    """One norm's scale, as it was in one version.

    Attributes:
        weight (Tensor, optional): The scale; None once it was read.
        is_far (bool, optional): Whether all values are far from zero; None
            before it was read.
    """

    def __init__(self, weight: Tensor) -> None:
        self.weight: Tensor | None = weight
        self.version = weight._version
        self.is_far: bool | None = None


class Scales:
    """The scales of all batch norms in a pretext loss.

    The backward pass of each norm asks for its own. Every answer that is read
    from the device by itself would make the host wait, some fifty times per
    graph of a ResNet-50. The forward pass therefore lists the scales, and the
    first question reads all of them.
    """

    def __init__(self) -> None:
        self._known: WeakIdKeyDictionary = WeakIdKeyDictionary()
        self._unread: list[Scale] = []

    def begin(self) -> None:
        """A forward pass begins."""
        self._unread = []

    def of(self, weight: Tensor) -> Scale:
        """The scale, listed to be read.

        Args:
            weight (Tensor): The scale of a norm, shape ``(C, )``.
        """
        scale = self._known.get(weight)
        if scale is None or scale.version != weight._version:
            scale = self._known[weight] = Scale(weight)
            self._unread.append(scale)
        return scale

    def are_far(self, scale: Scale) -> bool:
        """Whether a scale is far from zero.

        Args:
            scale (Scale): From :meth:`of`.
        """
        if scale.is_far is None:
            unread = {id(s): s for s in (scale, *self._unread)}.values()
            weights = [s.weight for s in unread if s.weight is not None]
            sizes = torch.stack([w.detach().abs().min().double() for w in weights])
            for one, size in zip(unread, sizes.tolist(), strict=True):
                one.is_far, one.weight = size > _LEAST, None
            self._unread = []
        return bool(scale.is_far)
