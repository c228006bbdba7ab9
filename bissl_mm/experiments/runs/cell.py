"""Places in an experiment: a cell of the report, and what a run starts from."""

import hashlib
from dataclasses import dataclass
from functools import cache
from typing import Any


@dataclass(frozen=True)
class Cell:
    """A cell of the report: its place, and the keys of its runs."""

    setting: str
    task: str
    arm: str
    value: Any
    metric: str
    search: tuple[str, ...]
    seeds: tuple[str, ...]


@dataclass(frozen=True)
class Source:
    """What a run starts from: another run, a file, or nothing."""

    key: str | None = None
    file: str | None = None

    @property
    def parents(self) -> tuple[str, ...]:
        """The run, as a node has it."""
        return () if self.key is None else (self.key,)

    def identity(self) -> Any:
        """What a key depends on."""
        return self.key if self.file is None else _content(self.file)


@cache
def _content(path: str) -> str:
    """A digest of a file, which has other paths and dates on other machines."""
    found = hashlib.sha256()
    with open(path, 'rb') as file:
        while chunk := file.read(1 << 20):
            found.update(chunk)
    return found.hexdigest()
