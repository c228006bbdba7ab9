"""Opens publishers' archives and folders as they were downloaded."""

import re
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from typing import IO

from ..utils.errors import FileNotFoundRefusal, ValueRefusal

#: Levels of folders, at most, between the source and the publisher's files.
DEPTH = 3


def open_source(
    name: str,
    path: Path,
    markers: tuple[tuple[str, ...], ...],
    scratch: Path,
    wanted: str = '',
    offered: tuple[str, ...] = (),
) -> Path:
    """The folder that has a publisher's files.

    Args:
        name (str): Name of the data set, for messages.
        path (Path): A folder, or a tar or zip archive.
        markers (tuple): Alternative sets of paths. The folder has all paths
            of one set.
        scratch (Path): Folder into which an archive is unpacked.
        wanted (str): Regular expression that is searched in the paths within
            the archive; only matching files are unpacked. Defaults to all.
        offered (tuple[str, ...]): Names of the files that the publisher offers,
            if there are several. A folder, or an archive, that has them is a
            source, too: the archives among them are unpacked. Defaults to none.

    Raises:
        FileNotFoundRefusal: If the path does not exist.
        ValueRefusal: If it is not an archive, if the archive is damaged, or
            if there is no such folder, or more than one.
    """
    if not path.exists():
        raise FileNotFoundRefusal(
            f"The source '{path}' does not exist. Type the path of the "
            'downloaded archive, or of the folder into which it was unpacked.'
        )
    folder = path
    if not path.is_dir():
        _unpack(path, scratch, wanted)
        folder = scratch
    found = _folders_with(folder, markers)
    if not found and offered and _gather(folder, offered, scratch / '.offered', wanted):
        found = _folders_with(scratch / '.offered', markers)
    if not found:
        looked_for = ' or '.join(', '.join(m) for m in markers)
        together = (
            f'a folder that has all of the downloads: {", ".join(offered)}'
            if len(offered) > 1
            else 'the path of the download'
        )
        raise ValueRefusal(
            f"'{path}' is not the source of {name}: no folder in it has "
            f'{looked_for}. Type {together}.'
        )
    if len(found) > 1:
        raise ValueRefusal(
            f"'{path}' has the files of {name} more than once, in "
            f"'{found[0]}' and in '{found[1]}'. Type one of these paths."
        )
    return found[0]


def _levels(folder: Path) -> Iterator[list[Path]]:
    """The folder, then the folders in it, and so on."""
    level = [folder]
    for _ in range(DEPTH + 1):
        yield level
        level = [child for each in level for child in _folders_in(each)]


def _folders_with(folder: Path, markers: tuple[tuple[str, ...], ...]) -> list[Path]:
    """The uppermost folders that have all paths of a set."""
    for level in _levels(folder):
        found = [
            each
            for each in level
            if any(all((each / part).exists() for part in marker) for marker in markers)
        ]
        if found:
            return found
    return []


def _gather(folder: Path, offered: tuple[str, ...], scratch: Path, wanted: str) -> bool:
    """Unpack the offered archives, and copy the other offered files beside.

    Returns:
        bool: Whether there was any.
    """
    for level in _levels(folder):
        files = [
            path
            for each in level
            for path in _children(each)
            if path.is_file() and any(fnmatch(path.name, name) for name in offered)
        ]
        for path in files:
            if re.search(r'\.(tar|tgz|tar\.gz|tar\.bz2|zip)$', path.name):
                _unpack(path, scratch, wanted)
            else:
                scratch.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, scratch / path.name)
        if files:
            return True
    return False


def _folders_in(folder: Path) -> list[Path]:
    return [
        child
        for child in _children(folder)
        if child.is_dir() and not child.name.startswith('.')
    ]


def _children(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except PermissionError:
        return []


def _unpack(path: Path, scratch: Path, wanted: str) -> None:
    """Unpack the wanted regular files of an archive, but no links."""
    try:
        if tarfile.is_tarfile(path):
            with tarfile.open(path) as archive:
                for member in archive:
                    if member.isfile() and re.search(wanted, member.name):
                        file = archive.extractfile(member)
                        # A regular file always has one.
                        if file is not None:
                            _write(file, scratch, member.name, path)
        elif zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                for info in archive.infolist():
                    if not info.is_dir() and re.search(wanted, info.filename):
                        with archive.open(info) as file:
                            _write(file, scratch, info.filename, path)
        else:
            raise ValueRefusal(
                f"'{path}' is not a folder, a tar archive or a zip archive, or "
                'it is cut off. Download it again.'
            )
    except (
        tarfile.TarError,
        zipfile.BadZipFile,
        EOFError,
        zlib.error,
        OSError,
    ) as error:
        if isinstance(error, OSError) and error.errno:
            raise
        raise ValueRefusal(
            f"The archive '{path}' is damaged or cut off ({error}). Download it again."
        ) from error


def _write(file: IO[bytes], scratch: Path, name: str, path: Path) -> None:
    parts = PurePosixPath(name.replace('\\', '/'))
    if parts.is_absolute() or '..' in parts.parts:
        raise ValueRefusal(
            f"The archive '{path}' would write outside of its folder "
            f"({name!r}), so it is not the publisher's. Download it again."
        )
    target = scratch / parts
    target.parent.mkdir(parents=True, exist_ok=True)
    with open(target, 'wb') as copy:
        shutil.copyfileobj(file, copy)
