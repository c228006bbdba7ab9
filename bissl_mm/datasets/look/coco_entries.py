"""The entries of COCO's files, and how faults in them are told."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .findings import Look


@dataclass
class CocoFile:
    """A file in COCO's format whose entries have what is read from them.

    Args:
        key (str): Its dotted key in the config.
        path (str): The file.
        images, annotations, categories (list[dict]): Its entries.
    """

    key: str
    path: str
    images: list[dict] = field(default_factory=list)
    annotations: list[dict] = field(default_factory=list)
    categories: list[dict] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The key and the file, as messages begin."""
        return f'{self.key}: {self.path!r}'

    def label_names(self, classes: list[str]) -> list[str]:
        """Names of the declared classes in the order of the numbers that
        mmdet gives them: that of the file."""
        return [c['name'] for c in self.categories if c['name'] in classes]


def tell(
    look: Look,
    name: str,
    what: str,
    bad: list[dict],
    total: int,
    remedy: str,
    say: Callable[[str], None] | None = None,
) -> None:
    """Refuse some entries: how many, the first one's id, the remedy.

    Args:
        look (Look): Gets the sentence.
        name (str): The key and the file.
        what (str): What is wrong, with ``{}`` for the entries' number.
        bad (list[dict]): The entries; nothing is told of none.
        total (int): Of how many.
        remedy (str): A sentence.
        say (Callable, optional): Defaults to ``look.refuse``.
    """
    if bad:
        number = f'{len(bad)} of {total}'
        first = f' (first: id {bad[0]["id"]!r})' if 'id' in bad[0] else ''
        # Values of the file that are shown may have braces of their own.
        what = what.replace('{}', number, 1)
        (say or look.refuse)(f'{name}: {what}{first}. {remedy}')


def is_number(value: Any) -> bool:
    """Whether it is a finite number."""
    return isinstance(value, (int, float)) and math.isfinite(value)


def plain(value: Any) -> Any:
    """The number that a text writes; else the value."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return value
