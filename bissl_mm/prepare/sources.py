"""Opens publishers' archives and folders as they were downloaded."""

import re
import shutil
import tarfile
import zipfile
import zlib
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
    level, found = [folder], []
    for _ in range(DEPTH + 1):
        found = [
            f
            for f in level
            if any(all((f / part).exists() for part in marker) for marker in markers)
        ]
        if found:
            break
        level = [child for f in level for child in _folders_in(f)]
    if not found:
        looked_for = ' or '.join(', '.join(m) for m in markers)
        raise ValueRefusal(
            f"'{path}' is not the source of {name}: no folder in it has "
            f'{looked_for}. Type the path of the download.'
        )
    if len(found) > 1:
        raise ValueRefusal(
            f"'{path}' has the files of {name} more than once, in "
            f"'{found[0]}' and in '{found[1]}'. Type one of these paths."
        )
    return found[0]


def _folders_in(folder: Path) -> list[Path]:
    try:
        return sorted(
            child
            for child in folder.iterdir()
            if child.is_dir() and not child.name.startswith('.')
        )
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
