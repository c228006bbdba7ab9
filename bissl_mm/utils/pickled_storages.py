"""Checks that storages fit into their file and tensors into their storages.

Imports torch and the standard library only.
"""

import pickle
from collections.abc import Callable
from typing import Any

import torch

from .containers import Container


class RefusedPickleError(pickle.UnpicklingError):
    """A pickle uses something that it may not use."""


class Storages:
    """Checks that storages claim no more bytes than the file has.

    torch would read beyond the end of a record that is too short. For an old
    file it would allocate whatever size the file claims.

    Args:
        container (Container): The file.
    """

    def __init__(self, container: Container) -> None:
        self._sizes = container.storages
        self._left = container.size
        self._seen: set = set()

    def check(self, claim: Any) -> None:
        """Check what a pickle says about a storage.

        Raises:
            RefusedPickleError: If the storage has another form or is too large.
        """
        if (
            type(claim) is not tuple
            or len(claim) < 5
            or (claim[0] != 'storage')
            or not all(type(part) is str for part in claim[2:4])
            or (type(claim[4]) is not int or claim[4] < 0)
        ):
            raise RefusedPickleError(f'Unsupported reference: {claim!r:.100}')
        dtype = getattr(claim[1], 'dtype', torch.uint8)
        if not _is_storage(claim[1]) or not isinstance(dtype, torch.dtype):
            raise RefusedPickleError(f'Unsupported storage: {claim[1]!r}')
        key, size = claim[2], claim[4] * _itemsize(dtype)
        if self._sizes is None:
            size = 0 if key in self._seen else size
            self._seen.add(key)
            self._left -= size
            short = self._left < 0
        else:
            short = size > self._sizes.get(key, 0)
        if short:
            raise RefusedPickleError(
                f'Storage {key} claims {size} bytes, more than the file has'
            )


def _is_storage(kind: Any) -> bool:
    """Whether it is a storage class, or what torch's reader uses for one."""
    if isinstance(kind, type):
        return issubclass(kind, (torch.TypedStorage, torch.UntypedStorage))
    return isinstance(kind, torch.serialization.StorageType)


def _itemsize(dtype: torch.dtype) -> int:
    return torch.empty(0, dtype=dtype).element_size()


def within_storage(function: Callable) -> Callable:
    """Wrap a function that builds a tensor on a storage; check that it fits.

    torch itself would enlarge the storage.
    """

    def call(storage: Any, offset: Any, size: Any, stride: Any, *rest: Any) -> Any:
        numbers = (offset, *size, *stride)
        if any(type(n) is not int or n < 0 for n in numbers) or (
            len(size) != len(stride)
        ):
            raise RefusedPickleError(f'Unsupported shape {size!r}')
        dtypes = [part for part in rest if isinstance(part, torch.dtype)]
        width = _itemsize(
            dtypes[0] if dtypes else getattr(storage, 'dtype', torch.uint8)
        )
        untyped = getattr(storage, '_untyped_storage', storage)
        if not isinstance(untyped, torch.UntypedStorage):
            raise RefusedPickleError(f'Unsupported storage: {storage!r:.100}')
        last = offset + sum(
            (n - 1) * step for n, step in zip(size, stride, strict=True)
        )
        if 0 not in size and (last + 1) * width > untyped.nbytes():
            raise RefusedPickleError(f'Shape {size!r} exceeds its storage')
        return function(storage, offset, size, stride, *rest)

    return call
