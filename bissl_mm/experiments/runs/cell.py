"""Places in an experiment: a cell of the report, and what a run starts from."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch

from ... import __version__
from ..queue.node import digest


@dataclass(frozen=True)
class Cell:
    """A cell of the report: its place, and the keys of its runs.

    ``features`` is the run that compares the arm's backbone with those that
    fine-tuning made of it, or shows its test features; None without one. It compares
    ``compared`` of them: those after the first stage.
    """

    setting: str
    task: str
    arm: str
    value: Any
    metric: str
    search: tuple[str, ...]
    seeds: tuple[str, ...]
    features: str | None = None
    compared: int = 0


@dataclass(frozen=True)
class Source:
    """What a run starts from: another run, a file, or nothing.

    ``head`` is that of the authors' release beside its backbone ``file``.
    """

    key: str | None = None
    file: str | None = None
    head: str | None = None

    @property
    def parents(self) -> tuple[str, ...]:
        """The run, as a node has it."""
        return () if self.key is None else (self.key,)

    def identity(self) -> Any:
        """What a key depends on."""
        if self.file is None:
            return self.key
        own = _content(self.file)
        return own if self.head is None else [own, _content(self.head)]


@cache
def _content(path: str) -> str:
    """A digest of a file, which has other paths and dates on other machines."""
    found = hashlib.sha256()
    with open(path, 'rb') as file:
        while chunk := file.read(1 << 20):
            found.update(chunk)
    return found.hexdigest()


def run_key(*parts: Any) -> str:
    """The key of a run: its parts, and the versions that made it."""
    return digest(__version__, torch.__version__.partition('+')[0], *parts)


def start_of(
    spec: Mapping[str, Any], parents: Mapping[str, dict], folder: Path
) -> str | None:
    """The backbone file that a run starts from; None for random weights.

    A public file gets the names of mmpretrain, as a copy in the run's folder.

    Args:
        spec (dict): Of its node.
        parents (dict): Results by key.
        folder (Path): Of the run, within the storage.
    """
    if spec['source'] is not None:
        return str(folder.parents[1] / parents[spec['source']]['checkpoint'])
    if spec['file'] is None:
        return None
    from ...models.weights.provenance import origin
    from ...models.weights.public_weights import to_mmpretrain
    from ...utils.checkpoint import load_checkpoint, save_atomically, state_dict_of

    checkpoint = load_checkpoint(spec['file'])
    given = state_dict_of(checkpoint, spec['file'])
    if any(name.startswith('backbone.') for name in given):
        return spec['file']
    path = str(folder / 'start.pth')
    meta = dict(backbone=origin(checkpoint))
    save_atomically(dict(state_dict=to_mmpretrain(given)[0], meta=meta), path)
    return path
