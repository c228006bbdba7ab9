"""Fetches checkpoints from files, addresses and model zoos."""

import difflib
import hashlib
import os
import os.path as osp
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import unquote, urlparse

import torch
from mmengine.config import Config
from mmengine.dist import barrier, get_dist_info
from mmengine.fileio import get
from mmengine.runner import checkpoint as mmengine_checkpoint

from .errors import OSRefusal, ValueRefusal

#: torch and OpenMMLab put the digest at the end of a released file's name.
_DIGEST = re.compile(r'-([0-9a-f]{8,64})\.')
_WEB = ('http://', 'https://')
_OBJECT_STORE = re.compile(r'(\S+:)?(s3|petrel)://')


def as_text(source: str | os.PathLike) -> str:
    """The path or address as text; ``file://`` becomes a path."""
    text = os.fspath(source)
    if text.startswith('file://'):
        return unquote(urlparse(text).path)
    return text


def is_address(source: str | os.PathLike) -> bool:
    """Whether the source is not a local file."""
    return re.match(r'[\w.+:-]+://', as_text(source)) is not None


def settle_sources(cfg: Config) -> None:
    """Turn ``pathlib`` paths into text, which mmengine's loaders need.

    Args:
        cfg (Config): The config; changed.

    Raises:
        ValueError: If a run is to resume from an address, from a folder or from an
            empty path. A run's optimizer state and progress are in a file of its
            work folder, not in a release.
    """
    _paths_as_text(cfg._cfg_dict)
    if not cfg.get('resume') or cfg.get('load_from') is None:
        return
    source = cfg.load_from
    if is_address(source):
        raise ValueRefusal(
            f'--resume {source!r} is an address, but a run resumes from '
            'a file of its own work folder. Type the path of that file, or '
            'start a new run from the weights with --cfg-options '
            'load_from=ADDRESS.'
        )
    if not source or osp.isdir(osp.expanduser(source)):
        raise ValueRefusal(
            f'--resume {source!r} is {"a folder" if source else "empty"}, but a run '
            'resumes from a file. Type the path of that file, or --resume without a '
            'path for the newest checkpoint in the work folder, which --work-dir FOLDER '
            'names.'
        )


def _paths_as_text(content: Any) -> None:
    if isinstance(content, (dict, list)):
        items = content.items() if isinstance(content, dict) else enumerate(content)
        for key, value in list(items):
            if isinstance(value, os.PathLike):
                content[key] = os.fspath(value)
            else:
                _paths_as_text(value)


@contextmanager
def local_file(source: str | os.PathLike) -> Iterator[str]:
    """Context manager: a local file with the content of any source.

    Args:
        source (str or os.PathLike): A path, ``http(s)://``, ``torchvision://``
            or ``modelzoo://``, ``open-mmlab://`` or ``openmmlab://``,
            ``mmcls://``, or an object store of mmengine (``s3://``,
            ``petrel://``).

    Raises:
        ValueError: For another scheme or an unknown name.
        OSError: If the file cannot be fetched.
    """
    source = _resolved(as_text(source))
    if _OBJECT_STORE.match(source):
        # The suffix may say what format the file has.
        with tempfile.TemporaryDirectory() as folder:
            path = osp.join(folder, osp.basename(source))
            content = _fetched(
                source, lambda: get(source, backend_args=dict(backend='petrel'))
            )
            with open(path, 'wb') as file:
                file.write(content)
            yield path
    elif source.startswith(_WEB):
        yield _download(source)
    else:
        yield source


def _resolved(source: str) -> str:
    """An address or path for the name in a model zoo."""
    for schemes, table in _ZOOS:
        for scheme in schemes:
            if source.startswith(scheme):
                return _look_up(scheme, source[len(scheme) :], table())
    if (
        is_address(source)
        and not source.startswith(_WEB)
        and (not _OBJECT_STORE.match(source))
    ):
        scheme = source.split('://')[0]
        raise ValueRefusal(
            f'Checkpoint {source!r}: {scheme}:// is unknown. Known are '
            'local files, http://, https://, torchvision://, modelzoo://, '
            'open-mmlab://, openmmlab://, mmcls://, s3:// and petrel://. '
            'Download the file yourself and give its path.'
        )
    return source


def _look_up(scheme: str, name: str, table: dict[str, str]) -> str:
    if scheme in ('open-mmlab://', 'openmmlab://'):
        names = mmengine_checkpoint.get_deprecated_model_names()
        name = names.get(name, name)
    if name not in table:
        library = scheme.split('://')[0]
        near = difflib.get_close_matches(name, table, 1, 0.5)
        raise ValueRefusal(
            f'Checkpoint {scheme + name!r}: {library} has no model {name!r}.'
            + (
                f' Did you mean {scheme + near[0]!r}?'
                if near
                else ' Type the path of a file.'
            )
        )
    found = table[name]
    if is_address(found):
        return found
    return osp.join(mmengine_checkpoint._get_mmengine_home(), found)


#: Looked up in the module at each call, so that a replaced table is used.
_ZOOS: tuple[tuple[tuple[str, ...], Callable[[], dict[str, str]]], ...] = (
    (
        ('torchvision://', 'modelzoo://'),
        lambda: mmengine_checkpoint.get_torchvision_models(),
    ),
    (
        ('open-mmlab://', 'openmmlab://'),
        lambda: mmengine_checkpoint.get_external_models(),
    ),
    (('mmcls://',), lambda: mmengine_checkpoint.get_mmcls_models()),
)


def _download(address: str) -> str:
    """Fetch a file into the folder of torch's hub, once."""
    folder = osp.join(torch.hub.get_dir(), 'checkpoints')
    name = osp.basename(unquote(urlparse(address).path)) or 'checkpoint'
    # torch's hub and mmengine also keep a file by its name alone.
    shared = osp.join(folder, name)
    if osp.isfile(shared) and _is_what_it_says(shared):
        return shared
    digest = hashlib.sha256(address.encode()).hexdigest()[:16]
    path = osp.join(folder, f'{digest}-{name}')
    rank, world_size = get_dist_info()
    for turn in (True, False):
        if (rank == 0) is turn and not osp.isfile(path):
            os.makedirs(folder, exist_ok=True)
            _fetched(
                address,
                lambda: torch.hub.download_url_to_file(
                    address, path, progress=sys.stderr.isatty()
                ),
            )
        if turn and world_size > 1:
            barrier()
    return path


def _is_what_it_says(path: str) -> bool:
    """Whether the digest in a file's name is the digest of its content."""
    match = _DIGEST.search(osp.basename(path))
    if match is None:
        return False
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        for block in iter(lambda: file.read(1 << 20), b''):
            digest.update(block)
    return digest.hexdigest().startswith(match[1])


def _fetched(source: str, fetch: Callable[[], Any]) -> Any:
    try:
        return fetch()
    except Exception as error:
        raise OSRefusal(
            f'Checkpoint {source!r} cannot be downloaded '
            f'({type(error).__name__}: {error}). Check the address and the '
            'connection, or download the file yourself and give its path.'
        ) from error
