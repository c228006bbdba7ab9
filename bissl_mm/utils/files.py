"""Files that are old or new, never torn."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any


@contextmanager
def atomic_path(path: str | os.PathLike) -> Iterator[str]:
    """Inside, a file is written beside its place; afterwards it is there.

    It is flushed to the disk before it is put in place, so that neither an
    interruption nor a loss of power leaves half of it. If the block or the
    move fails, what was written is removed and an older file at ``path`` stays
    as it was. Its folder must exist.

    Args:
        path (str or os.PathLike): The file's place.

    Yields:
        str: Where to write it.
    """
    path = os.fspath(path)
    partial = f'{path}.partial'
    try:
        yield partial
        _flush(partial)
        os.replace(partial, path)
    except BaseException:
        with suppress(OSError):
            os.remove(partial)
        raise


@contextmanager
def atomic_file(path: str | os.PathLike, mode: str = 'w') -> Iterator[IO[Any]]:
    """:func:`atomic_path` as an open file; text is in UTF-8.

    Args:
        path (str or os.PathLike): The file's place.
        mode (str): ``'w'`` or ``'wb'``. Defaults to ``'w'``.
    """
    encoding = None if 'b' in mode else 'utf-8'
    with atomic_path(path) as partial, open(partial, mode, encoding=encoding) as file:
        yield file


def is_write_failure(error: BaseException) -> bool:
    """Whether writing failed, for lack of space or permission.

    torch's own writer of zip archives says so in a RuntimeError, as torch
    does of a lack of memory.
    """
    return isinstance(error, OSError) or (
        isinstance(error, RuntimeError) and 'inline_container' in str(error)
    )


def _flush(path: str) -> None:
    with open(path, 'rb') as file:
        os.fsync(file.fileno())
