"""What a report says, before it is written."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from .table import ALPHA, Table

#: What bold print means.
BOLD = (
    'Bold: the highest mean of its column, above the next one by the two-sample '
    f'permutation test (p < {ALPHA}; B.6, arXiv:2410.02387). Differences are to '
    '{first}, the first row.'
)


@dataclass
class Content:
    """A report's parts.

    Attributes:
        about (str): What the numbers are.
        tables (list[Table]): With statistics.
        lists (list): Titles and rows of text; the first row is the head.
        pictures (list): Titles and data addresses.
        missing (int): Runs that are not finished and that no table shows.
        unit (str): What is missing where something is, in words.
        data (dict): More for the JSON file.
    """

    about: str
    tables: Sequence[Table] = ()
    lists: list[tuple[str, list[list[str]]]] = field(default_factory=list)
    pictures: list[tuple[str, str]] = field(default_factory=list)
    missing: int = 0
    unit: str = 'final runs are not finished'
    data: dict[str, Any] = field(default_factory=dict)
