"""Recognises what kind of file a checkpoint is, before any reader opens it.

Imports the standard library only.
"""

import os.path as osp
import re
import tarfile
import zipfile
from typing import NamedTuple

from .errors import ValueRefusal

#: Name of a storage in a file of torch.save.
_STORAGE = re.compile(r'data/(\d+)')
#: Signature and size of a zip's end record, if the zip has no comment.
_END, _END_SIZE = b'PK\x05\x06', 22


class ContainerError(ValueRefusal):
    """A file is not a checkpoint that this package reads."""


class Container(NamedTuple):
    """What is known about a file."""

    #: 'zip', 'pickle' or 'safetensors'.
    kind: str
    #: Bytes of the file.
    size: int
    #: Sizes in bytes of a zip's storages, by name.
    storages: dict[str, int] | None = None


def look_into(path: str) -> Container:
    """Recognise a file; refuse what torch would pass on to other readers.

    Args:
        path (str): Local file.

    Raises:
        ContainerError: For an archive of another kind, or one that was cut
            off or claims more bytes than it has.
        zipfile.BadZipFile: If the zip's directory is damaged.
    """
    size = osp.getsize(path)
    with open(path, 'rb') as file:
        begin = file.read(16)
        file.seek(-min(size, _END_SIZE), 2)
        end = file.read()
    if begin[:6] == b'\x93NUMPY':
        raise ContainerError('it is an array of numpy')
    if begin[:4] == b'PK\x03\x04':
        # torch and Python look for a zip's directory in different ways. They
        # find the same one if nothing follows it.
        if end[:4] != _END or end[-2:] != b'\0\0':
            raise ContainerError(
                'it is a zip archive that was cut off, or data follow its end'
            )
        with zipfile.ZipFile(path) as archive:
            return Container('zip', size, _storages(archive, size))
    # A safetensors file begins with the length of its header, and the header.
    if path.endswith('.safetensors') or begin[4:9] == b'\0\0\0\0{':
        return Container('safetensors', size)
    if tarfile.is_tarfile(path):
        raise ContainerError(
            'it is a tar archive: a packed folder, or the format that torch '
            'had before 0.2'
        )
    return Container('pickle', size)


def _storages(archive: zipfile.ZipFile, size: int) -> dict[str, int]:
    files = archive.infolist()
    names = [info.filename for info in files]
    if any(osp.basename(name).lower() == 'constants.pkl' for name in names):
        raise ContainerError('it is a TorchScript archive, which is a program')
    if any(name.endswith('.npy') for name in names):
        raise ContainerError('it is an npz file of numpy')
    if not any(osp.basename(name) == 'data.pkl' for name in names):
        raise ContainerError(
            'it is a zip archive, but not one of torch.save (it has no '
            f'data.pkl; first: {", ".join(names[:3]) or "nothing"})'
        )
    # torch's readers ignore upper and lower case in names.
    if len({name.lower() for name in names}) < len(names):
        raise ContainerError('it is a zip archive with two files of one name')
    for info in files:
        # torch.save never compresses.
        if (
            info.compress_type != zipfile.ZIP_STORED
            or (info.file_size != info.compress_size)
            or info.flag_bits & 1
        ):
            raise ContainerError(
                f'it is a zip archive with compressed or encrypted files '
                f'({info.filename}: {info.file_size} bytes from '
                f'{info.compress_size}), which torch.save does not write'
            )
    if sum(info.file_size for info in files) > size:
        raise ContainerError(
            'it is a zip archive that claims more bytes than the file has'
        )
    top = names[0].split('/')[0] + '/'
    storages = {}
    for info in files:
        match = _STORAGE.fullmatch(info.filename[len(top) :])
        if match and info.filename.startswith(top):
            storages[match[1]] = info.file_size
    return storages
