"""The entries of COCO's files, and sentences about their faults."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .findings import Look


@dataclass
class CocoFile:
    """A file in COCO's format whose entries have all keys that are read.

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
        """The key and the file, with which messages begin."""
        return f'{self.key}: {self.path!r}'

    def label_names(self, classes: list[str]) -> list[str]:
        """Names of the declared classes in mmdet's order, that of the file."""
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
    """Refuse some entries, with their number, the first id and the remedy.

    Args:
        look (Look): Collects the findings.
        name (str): The key and the file.
        what (str): What is wrong, with ``{}`` for the number of entries.
        bad (list[dict]): The wrong entries. If there are none, nothing happens.
        total (int): Number of all entries.
        remedy (str): A sentence that says what to do.
        say (Callable, optional): Takes the text. Defaults to ``look.refuse``.
    """
    if bad:
        number = f'{len(bad)} of {total}'
        first = f' (first: id {bad[0]["id"]!r})' if 'id' in bad[0] else ''
        # Values from the file may contain braces.
        what = what.replace('{}', number, 1)
        (say or look.refuse)(f'{name}: {what}{first}. {remedy}')


def is_number(value: Any) -> bool:
    """Whether it is a finite number."""
    return isinstance(value, (int, float)) and math.isfinite(value)


def plain(value: Any) -> Any:
    """The number that a text stands for; any other value as it is."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return value
