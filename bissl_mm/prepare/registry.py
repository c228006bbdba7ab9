"""The data sets that can be prepared, and the function that prepares them."""

import difflib
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from ..utils.errors import OSRefusal, ValueRefusal
from .released import check_released
from .sources import open_source
from .task import Split, Task


class DataSet(NamedTuple):
    """What is known about a data set before its source is read."""

    #: ``function(root, task)`` lays out the data; ``root`` is the folder with
    #: the publisher's files.
    function: Callable[[Path, Task], None]
    #: Folders that it creates in the destination.
    folders: tuple[str, ...]
    #: What to download, in words.
    download: str
    #: Alternative sets of paths; the publisher's folder has all of one set.
    markers: tuple[tuple[str, ...], ...]
    #: Number of images in each split of the complete source.
    expected: Mapping[str, int]
    #: Numbers of images to draw, if the split is not the publisher's.
    drawn: Mapping[str, int]
    #: Regular expression of the files that are unpacked from an archive.
    wanted: str
    #: Names (``*`` stands for anything) of the files that the publisher offers,
    #: where there are several: a folder with them is a source, too.
    offered: tuple[str, ...] = ()


#: Rules for what is the validation part.
SPLITS = ('rules', 'released')
DATA_SETS: dict[str, DataSet] = {}
#: What the command calls class folders of the user's own.
OWN = 'folder'


def register(
    name: str,
    folders: tuple[str, ...],
    download: str,
    markers: tuple[tuple[str, ...], ...],
    expected: Mapping[str, int],
    drawn: Mapping[str, int] | None = None,
    wanted: str = '',
    offered: tuple[str, ...] = (),
) -> Callable:
    """Register the decorated function as the one that prepares ``name``.

    Args: those of :class:`DataSet`.
    """

    def decorate(function: Callable[[Path, Task], None]) -> Callable:
        DATA_SETS[name] = DataSet(
            function, folders, download, markers, expected, drawn or {}, wanted, offered
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
    split: str = 'rules',
) -> list[Split]:
    """Lay out a data set. It appears as a whole at the end, or not at all.

    Args:
        name (str): A key of ``DATA_SETS``.
        source (str): The publisher's archive, or a folder with its content.
            It is only read.
        destination (str): Folder of the data sets. It is created if it does
            not exist.
        seed (int): Seed of the draws. Defaults to 0.
        counts (dict, optional): Numbers to draw instead of the default ones.
        allow_incomplete (bool): Accept a source from which images or labels
            are missing. Defaults to False.
        split (str): ``'rules'``: the paper's rules, drawn with the seed where they
            draw. ``'released'``: the lists that the authors released. Defaults to
            ``'rules'``.

    Returns:
        List[Split]: The splits that were written.

    Raises:
        ValueRefusal: If the name or a count is unknown, or if the source is
            not the publisher's or is incomplete.
        OSRefusal: If a folder to be created exists already.
    """
    data_set = _asked_for(name, counts, split)
    with whole_or_nothing(name, Path(destination), data_set.folders) as scratch:
        task = Task(
            name,
            scratch / 'prepared',
            seed,
            {**data_set.drawn, **(counts or {})},
            data_set.expected,
            data_set.download,
            allow_incomplete,
            split,
        )
        data_set.function(
            open_source(
                name,
                Path(source),
                data_set.markers,
                scratch / 'source',
                data_set.wanted,
                data_set.offered,
            ),
            task,
        )
        task.write_lists()
    return task.splits


@contextmanager
def whole_or_nothing(name: str, root: Path, folders: tuple[str, ...]) -> Iterator[Path]:
    """Context manager: a folder to write to, which is removed in the end.

    What it then has in ``prepared`` is moved to its place.

    Args:
        name (str): Name of the data set.
        root (Path): The destination. It is created if it does not exist.
        folders (tuple[str, ...]): Folders that are created in it.

    Raises:
        OSRefusal: If one of them exists already, or if the destination is a file.
    """
    for folder in folders:
        if (root / folder).exists():
            raise OSRefusal(
                f"'{root / folder}' exists already. Remove it, or type another "
                'destination.'
            )
    try:
        root.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise OSRefusal(
            f"The destination '{root}' is a file. Type a folder."
        ) from error
    # On the destination's file system, because the folders are moved at the end.
    with tempfile.TemporaryDirectory(prefix=f'.{name}-', dir=root) as scratch:
        yield Path(scratch)
        _move(Path(scratch) / 'prepared', root, folders)


def _asked_for(name: str, counts: Mapping[str, int] | None, split: str) -> DataSet:
    """The data set of that name, if it has these counts and this split."""
    if name not in DATA_SETS:
        known = sorted([*DATA_SETS, OWN])
        near = difflib.get_close_matches(name, known, 1, 0.5)
        raise ValueRefusal(
            f'Data set {name!r} is unknown.'
            + (f' Did you mean {near[0]!r}?' if near else '')
            + f' Choose one of {", ".join(known)}.'
        )
    data_set = DATA_SETS[name]
    if split not in SPLITS:
        raise ValueRefusal(
            f'--split {split} is unknown. Choose one of {", ".join(SPLITS)}.'
        )
    if split == 'released':
        check_released(name)
    unknown = sorted(set(counts or {}) - set(data_set.drawn))
    if unknown:
        known = ', '.join(data_set.drawn) or 'no counts: its split is fixed'
        raise ValueRefusal(
            f'{name}: --counts {unknown[0]} is unknown. {name} has {known}.'
        )
    for what, number in (counts or {}).items():
        if number < 1:
            raise ValueRefusal(
                f'{name}: --counts {what}={number} is too small. Type a number of '
                'at least 1.'
            )
    return data_set


def _move(prepared: Path, root: Path, folders: tuple[str, ...]) -> None:
    """Move all folders to their places, or none."""
    moved = []
    try:
        for folder in folders:
            # It fails if the folder was created meanwhile and is not empty.
            os.rename(prepared / folder, root / folder)
            moved.append(folder)
    except OSError as error:
        for folder in moved:
            os.rename(root / folder, prepared / folder)
        raise OSRefusal(
            f"The prepared data cannot be moved to '{root}' "
            f'({error}). Check that folder and try again.'
        ) from error
