"""The data sets that can be prepared, and the one way to prepare them."""

import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from ..utils.errors import OSRefusal, ValueRefusal
from .sources import open_source
from .task import Split, Task


class DataSet(NamedTuple):
    """What is known of a data set before its source is looked at."""

    #: Lays the data out: ``function(root, task)`` with the folder that has
    #: the publisher's files.
    function: Callable[[Path, Task], None]
    #: Folders that it makes below the destination.
    folders: tuple[str, ...]
    #: What to download, in words.
    download: str
    #: Alternatives; the paths of one of them lie in the publisher's folder.
    markers: tuple[tuple[str, ...], ...]
    #: Number of images in each part of the complete source.
    expected: Mapping[str, int]
    #: Numbers that are drawn, where the split is not the publisher's.
    drawn: Mapping[str, int]
    #: Regular expression of what is taken out of an archive.
    wanted: str


DATA_SETS: dict[str, DataSet] = {}


def register(
    name: str,
    folders: tuple[str, ...],
    download: str,
    markers: tuple[tuple[str, ...], ...],
    expected: Mapping[str, int],
    drawn: Mapping[str, int] | None = None,
    wanted: str = '',
) -> Callable:
    """Register the decorated function as the one that prepares ``name``.

    Args: as in :class:`DataSet`.
    """

    def decorate(function: Callable[[Path, Task], None]) -> Callable:
        DATA_SETS[name] = DataSet(
            function, folders, download, markers, expected, drawn or {}, wanted
        )
        return function

    return decorate


def prepare(
    name: str,
    source: str,
    destination: str,
    seed: int = 0,
    counts: Mapping[str, int] | None = None,
    allow_incomplete: bool = False,
) -> list[Split]:
    """Lay out a data set; all of it appears at the end, or nothing does.

    Args:
        name (str): A key of ``DATA_SETS``.
        source (str): The publisher's archive, or a folder that has its
            content. It is only read.
        destination (str): Folder of the data roots, made if it is not there.
        seed (int): Seed of what is drawn. Defaults to 0.
        counts (dict, optional): Numbers to draw instead of the usual ones.
        allow_incomplete (bool): Take a source that has less than its
            publisher's. Defaults to False.

    Returns:
        List[Split]: The splits that were written.

    Raises:
        ValueRefusal: If the name or a count is unknown, or the source is not
            the publisher's or not all of it.
        OSRefusal: If a folder to be made is there already.
    """
    if name not in DATA_SETS:
        raise ValueRefusal(
            f'No data set is called {name!r}. Known are {", ".join(sorted(DATA_SETS))}.'
        )
    data_set = DATA_SETS[name]
    unknown = sorted(set(counts or {}) - set(data_set.drawn))
    if unknown:
        known = ', '.join(data_set.drawn) or 'no counts: its split is fixed'
        raise ValueRefusal(
            f'{name} does not know the count {unknown[0]!r}. It has {known}.'
        )
    for what, number in (counts or {}).items():
        if number < 1:
            raise ValueRefusal(f'{name}: --counts {what}={number} must be 1 or more.')
    root = Path(destination)
    for folder in data_set.folders:
        if (root / folder).exists():
            raise OSRefusal(
                f"'{root / folder}' is there already. Remove it, "
                'or name another destination.'
            )
    try:
        root.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise OSRefusal(
            f"The destination '{root}' is a file. Name a folder."
        ) from error
    # On the file system of the destination: its parts are moved at the end.
    with tempfile.TemporaryDirectory(prefix=f'.{name}-', dir=root) as scratch:
        task = Task(
            name,
            Path(scratch) / 'prepared',
            seed,
            {**data_set.drawn, **(counts or {})},
            data_set.expected,
            data_set.download,
            allow_incomplete,
        )
        data_set.function(
            open_source(
                name,
                Path(source),
                data_set.markers,
                Path(scratch) / 'source',
                data_set.wanted,
            ),
            task,
        )
        task.write_lists()
        _move(task.out, root, data_set.folders)
    return task.splits


def _move(prepared: Path, root: Path, folders: tuple[str, ...]) -> None:
    """Move all folders to their places, or none."""
    moved = []
    try:
        for folder in folders:
            # Fails on a folder that has come to be meanwhile, unless empty.
            os.rename(prepared / folder, root / folder)
            moved.append(folder)
    except OSError as error:
        for folder in moved:
            os.rename(root / folder, prepared / folder)
        raise OSRefusal(
            f"The prepared data cannot be moved to '{root}' "
            f'({error}). Look into that folder and try again.'
        ) from error
