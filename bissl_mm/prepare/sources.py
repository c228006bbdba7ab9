"""Publishers' archives and folders, as they were downloaded."""

import re
import shutil
import tarfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from ..utils.errors import FileNotFoundRefusal, ValueRefusal

#: Folders between what is given and the publisher's files, at most.
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
        name (str): Of the data set, for messages.
        path (Path): A folder, or a tar or zip archive.
        markers (tuple): Alternatives; all paths of one of them lie in the
            folder that is looked for.
        scratch (Path): Where an archive is unpacked.
        wanted (str): Regular expression of the files to unpack, searched in
            their paths within the archive. Defaults to all.

    Raises:
        FileNotFoundRefusal: If the path does not exist.
        ValueRefusal: If it is no archive, a damaged one, or has no such
            folder, or more than one.
    """
    if not path.exists():
        raise FileNotFoundRefusal(
            f"The source '{path}' does not exist. Name the downloaded archive "
            'or the folder into which it was unpacked.'
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
            f"'{path}' is not the source of {name}: no folder in it has {looked_for}."
        )
    if len(found) > 1:
        raise ValueRefusal(
            f"'{path}' has the files of {name} more than once, in "
            f"'{found[0]}' and in '{found[1]}'. Name one of them."
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
    """Write the wanted regular files of an archive; links are left out."""
    try:
        if tarfile.is_tarfile(path):
            with tarfile.open(path) as archive:
                for member in archive:
                    if member.isfile() and re.search(wanted, member.name):
                        _write(archive.extractfile(member), scratch, member.name, path)
        elif zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                for info in archive.infolist():
                    if not info.is_dir() and re.search(wanted, info.filename):
                        with archive.open(info) as file:
                            _write(file, scratch, info.filename, path)
        else:
            raise ValueRefusal(
                f"'{path}' is neither a folder nor a tar or zip archive, or "
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


def _write(file: BinaryIO, scratch: Path, name: str, path: Path) -> None:
    parts = PurePosixPath(name.replace('\\', '/'))
    if parts.is_absolute() or '..' in parts.parts:
        raise ValueRefusal(
            f"The archive '{path}' would write outside of its "
            f"folder ({name!r}). It is not the publisher's."
        )
    target = scratch / parts
    target.parent.mkdir(parents=True, exist_ok=True)
    with open(target, 'wb') as copy:
        shutil.copyfileobj(file, copy)
