"""The lists with which the paper's authors drew their validation parts.

``released_splits.json`` is what they published with their runs: for each data set
the positions of its images, counted from 0, in the order in which torchvision
reads the training part (of Caltech-101: the whole set). Data sets whose publisher
has a validation part are not in it; the authors took that part.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any

from ..utils.errors import ValueRefusal

_FILE = Path(__file__).with_name('released_splits.json')
#: Data set of this package -> its name in the file, where they differ.
_NAMES = {'cifar10-full': 'cifar10'}


@cache
def _lists() -> dict[str, dict[str, Any]]:
    return json.loads(_FILE.read_text())


def has_released(name: str) -> bool:
    """Whether the authors released a list for a data set of this package."""
    names = set(_lists()) - set(_NAMES.values()) | set(_NAMES)
    return name in names


def check_released(name: str) -> None:
    """Refuse a data set of which the authors released no list."""
    if not has_released(name):
        names = set(_lists()) - set(_NAMES.values()) | set(_NAMES)
        raise ValueRefusal(
            f'--split released: the authors released no list for {name}; they did '
            f'for {", ".join(sorted(names))}. Leave --split out: the split is then '
            "the publisher's or drawn by the paper's rule (docs/tasks.md)."
        )


def released_parts(name: str) -> dict[str, list[int]]:
    """Positions of the images in each part, ascending.

    Args:
        name (str): A data set of this package.

    Returns:
        dict[str, list[int]]: ``'train'`` and ``'val'``; of Caltech-101 ``'test'``,
        too. Those of CIFAR-10 are among the first 40,000 of its 50,000 training
        images, because the authors' list ends there.

    Raises:
        ValueRefusal: If there is no list.
    """
    check_released(name)
    given = dict(_lists()[_NAMES.get(name, name)])
    total = given.pop('total')
    parts = {part: _positions(text) for part, text in given.items()}
    if 'train' not in parts:
        rest = set(range(total)) - set(parts['val'])
        parts['train'] = sorted(rest)
    return parts


def _positions(text: str) -> list[int]:
    """The numbers of ranges such as ``'0-7 9 13-15'``."""
    found: list[int] = []
    for piece in text.split():
        first, _, last = piece.partition('-')
        found += range(int(first), int(last or first) + 1)
    return found
