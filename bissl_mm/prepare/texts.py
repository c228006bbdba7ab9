"""Reads publishers' lists and tables, and refuses damaged ones by name."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ..utils.errors import ValueRefusal


def lines_of(path: Path) -> list[str]:
    """The lines of a text that are not blank, stripped; none without the file.

    Raises:
        ValueRefusal: If it is not a text.
    """
    if not path.is_file():
        return []
    try:
        text = path.read_text(encoding='utf-8')
    except UnicodeDecodeError as error:
        raise ValueRefusal(
            f"'{path}' is not a text ({error}). Download it again."
        ) from error
    return [line.strip() for line in text.splitlines() if line.strip()]


def fields_of(path: Path, number: int) -> Iterator[list[str]]:
    """The fields of each line, separated by blanks.

    Args:
        path (Path): The list.
        number (int): Fields of a line; the last one may contain blanks.

    Raises:
        ValueRefusal: If a line has fewer.
    """
    for line in lines_of(path):
        fields = line.split(maxsplit=number - 1)
        if len(fields) != number:
            raise ValueRefusal(
                f"'{path}' should have {number} fields a line, but has the line "
                f'{line!r}. Download it again.'
            )
        yield fields


def number_of(text: str, path: Path) -> int:
    """A whole number in a list.

    Raises:
        ValueRefusal: If it is none.
    """
    try:
        return int(text)
    except ValueError as error:
        raise ValueRefusal(
            f"'{path}' has {text!r} in the place of a number. Download it again."
        ) from error


def index_of(name: str, classes: dict[str, int], path: Path) -> int:
    """The number of a class that a list names.

    Raises:
        ValueRefusal: If there is no such class.
    """
    if name not in classes:
        raise ValueRefusal(
            f"'{path}' names the class {name!r}, which is none of the "
            f'{len(classes)} classes of the source. Download it again.'
        )
    return classes[name]


def numbered(classes: list[str]) -> dict[str, int]:
    """Class -> number from 0."""
    return {name: i for i, name in enumerate(classes)}


def read_mat(path: Path, *keys: str) -> list[Any]:
    """Arrays of a MATLAB file, without dimensions of 1; empty without the file.

    Raises:
        ValueRefusal: If it is damaged, or lacks one of the arrays.
    """
    from scipy.io import loadmat

    if not path.is_file():
        return [[] for _ in keys]
    try:
        content = loadmat(path, squeeze_me=True)
        return [content[key] for key in keys]
    # A damaged file raises anything within scipy's reader.
    except Exception as error:
        raise ValueRefusal(
            f"'{path}' is not a MATLAB file with {', '.join(keys)} "
            f'({type(error).__name__}: {error}). Download it again.'
        ) from error


def whole_numbers(values: Any, path: Path) -> np.ndarray:
    """``(N, )`` integers of a MATLAB file.

    Raises:
        ValueRefusal: If they are none.
    """
    found = np.atleast_1d(np.asarray(values))
    if found.ndim > 1 or found.dtype.kind not in 'iuf' or (found != found // 1).any():
        raise ValueRefusal(
            f"'{path}' should have a row of whole numbers, but has an array of shape "
            f'{found.shape} and type {found.dtype}. Download it again.'
        )
    return found.astype(int)
