"""The bytes of the tensors that live."""

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

GIB = 2**30
#: CUDA's allocator hands out multiples of this many bytes.
BLOCK = 512


class LiveTensors(TorchDispatchMode):
    """Inside, every new tensor is counted until its memory is freed.

    Tensors that share memory count once. What libraries take for themselves,
    without a tensor, is not seen.

    Attributes:
        now (int): Bytes of all tensors that were made inside and still live.
        peak (int): The largest ``now`` since :meth:`restart`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._sizes: dict[int, int] = {}
        self._counts = True

    def restart(self) -> int:
        """Forget the peak, and return the bytes that live."""
        self.peak = self.now
        return self.now

    @contextmanager
    def on_host(self) -> Iterator[None]:
        """Inside, new tensors do not count: they lie in the host's memory."""
        self._counts = False
        try:
            yield
        finally:
            self._counts = True

    def _count(self, tensor: Tensor) -> None:
        size = -(-tensor.untyped_storage().nbytes() // BLOCK) * BLOCK
        self._keep(tensor, size if self._counts else 0)

    def _keep(self, tensor: Tensor, size: int) -> None:
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self._sizes:
            return
        self._sizes[key] = size
        # The storage's object lives as long as its memory, also where only a
        # graph holds it.
        weakref.finalize(storage, self._freed, key).atexit = False
        self.now += size
        self.peak = max(self.peak, self.now)

    def _freed(self, key: int) -> None:
        self.now -= self._sizes.pop(key)

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = self.compute(func, args, kwargs or {})
        for tensor in tree_flatten(out)[0]:
            if isinstance(tensor, Tensor):
                self._count(tensor)
        return out

    def compute(self, func: Any, args: tuple, kwargs: dict) -> Any:
        """The result of an operation."""
        return func(*args, **kwargs)


def can_count() -> bool:
    """Whether this version of torch frees tensors where they can be counted.

    torch 2.1 keeps what a dispatch mode saw, and has no values of fake tensors.
    """
    with LiveTensors() as memory:
        x = torch.zeros(2**10, requires_grad=True)
        loss = (x * 2).exp().sum()
        counted = memory.now
        del x, loss
        return counted == 2 * 2**12 + BLOCK and memory.now == 0
