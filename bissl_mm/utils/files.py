"""Writes files atomically: a path has the old or the new file, never half."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any


@contextmanager
def atomic_path(path: str | os.PathLike) -> Iterator[str]:
    """Inside, a file is written beside its path; afterwards it is moved there.

    The file is flushed to the disk before it is moved. So neither an interruption
    nor a loss of power leaves half of it. If the block or the move fails, what
    was written is removed, and an older file at ``path`` is kept. The folder must
    exist.

    Args:
        path (str or os.PathLike): The final path of the file.

    Yields:
        str: The path to write to.
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
        path (str or os.PathLike): The final path of the file.
        mode (str): ``'w'`` or ``'wb'``. Defaults to ``'w'``.
    """
    encoding = None if 'b' in mode else 'utf-8'
    with atomic_path(path) as partial, open(partial, mode, encoding=encoding) as file:
        yield file


def is_write_failure(error: BaseException) -> bool:
    """Whether an error means that writing failed, not that memory ran out.

    torch's zip writer raises a RuntimeError if there is no space or permission.
    torch also raises a RuntimeError if memory runs out.
    """
    return isinstance(error, OSError) or (
        isinstance(error, RuntimeError) and 'inline_container' in str(error)
    )


def _flush(path: str) -> None:
    with open(path, 'rb') as file:
        os.fsync(file.fileno())
