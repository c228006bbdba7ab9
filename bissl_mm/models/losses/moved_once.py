"""What the parts of a batch move together."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from .functional import held_averages, restore_parts, tensors_if_fixed


class MovedOnce:
    """The averages of a model, which all parts of a batch move once.

    Averaged models (BYOL's target network) are updated by the first part. Buffers
    that a module names in ``moved_once`` (DINO's center), and parts of the model
    without a trained parameter (CAE's teacher), are the same for every part. At the
    end they have moved as by the whole batch: to the mean of where the parts move
    them, since parts have equal sizes.

    Args:
        model (nn.Module): Its parts pass within :meth:`part`.
        number (int): How many parts there are. Of one, nothing is kept.
    """

    def __init__(self, model: nn.Module, number: int) -> None:
        self.model = model
        self._moved = [] if number == 1 else _moved_tensors(model)
        self._begins = [moved.detach().clone() for moved in self._moved]
        self._means: list[Tensor] = []
        self._done = 0

    @contextmanager
    def part(self) -> Iterator[None]:
        """Inside, the next part passes."""
        restore_parts(zip(self._moved, self._begins, strict=True))
        with held_averages(self.model) if self._done else nullcontext():
            yield
        self._done += 1
        if self._done == 1:
            self._means = [moved.detach().clone() for moved in self._moved]
        for mean, end in zip(self._means, self._moved, strict=True):
            # Of equal values this is exact.
            if mean.is_floating_point():
                mean.lerp_(end.detach(), 1 / self._done)
            else:
                mean.copy_(end.detach())
        restore_parts(zip(self._moved, self._means, strict=True))


def _moved_tensors(model: nn.Module) -> list[Tensor]:
    """What may move in a forward pass, as by the whole batch, and is no averaged model.

    A module without a parameter is none of it: a queue takes in one part of the batch
    after the other. Neither are running statistics, which move with every part.
    """
    centers = [
        getattr(module, name)
        for module in model.modules()
        for name in getattr(module, 'moved_once', ())
    ]
    running = {
        id(buffer)
        for module in model.modules()
        if isinstance(module, _BatchNorm)
        for buffer in module.buffers()
    }
    fixed = [
        tensor
        for child in model.children()
        if next(child.parameters(), None) is not None
        for tensor in tensors_if_fixed(child)
        if id(tensor) not in running
    ]
    return [*centers, *fixed]
