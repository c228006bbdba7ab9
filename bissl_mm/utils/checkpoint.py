"""Checkpoint files: loading without running code, writing atomically."""

import os
import os.path as osp
import zipfile
from typing import Any, Dict
from urllib.parse import urlparse

import torch
from mmengine.runner import checkpoint as mmengine_checkpoint
from mmengine.runner.checkpoint import CheckpointLoader
from torch import Tensor

from .errors import FileNotFoundRefusal, OSRefusal, ValueRefusal
from .pickled_objects import NAMES, STATES
from .restricted_pickle import RefusedPickleError, load_without_code

#: Where public releases keep their weights, as keys within keys.
PLACES = (('state_dict', ), ('model', ), ('model_state_dict', ),
          ('online_network_state_dict', ),
          ('classy_state_dict', 'base_model', 'model', 'trunk'))
#: Two networks side by side, as in the checkpoints of DINO.
PAIR = ('teacher', 'student')


class UnsafeCheckpointError(ValueRefusal):
    """A checkpoint holds objects whose loading could run code."""


def load_checkpoint(path: str, map_location: Any = 'cpu') -> Any:
    """Load a checkpoint; only tensors and plain data are accepted.

    mmengine's loader retries a refused file with full unpickling, which runs
    whatever code the file holds. This one does not.

    Args:
        path (str): Local file, ``http(s)://`` address or
            ``torchvision://name``.
        map_location: See :func:`torch.load`. Defaults to ``'cpu'``.

    Raises:
        FileNotFoundError: If a local file does not exist.
        UnsafeCheckpointError: If the file holds other objects.
        ValueError: If the file is damaged.
    """
    if path.startswith('torchvision://'):
        name = path[len('torchvision://'):]
        models = mmengine_checkpoint.get_torchvision_models()
        if name not in models:
            raise ValueRefusal(
                f'Checkpoint {path!r}: torchvision has no model '
                f'{name!r}.')
        path = models[name]
    if path.startswith(('http://', 'https://')):
        path = _download(path)
    if '://' in path:
        # Of mmengine's other schemes (open-mmlab, modelzoo, s3, ...).
        return CheckpointLoader.load_checkpoint(path, map_location)
    return load_from_local_safely(path, map_location)


def _download(address: str) -> str:
    """Fetch a file into the folder of torch's hub, once."""
    folder = osp.join(torch.hub.get_dir(), 'checkpoints')
    path = osp.join(folder, osp.basename(urlparse(address).path))
    if not osp.isfile(path):
        os.makedirs(folder, exist_ok=True)
        torch.hub.download_url_to_file(address, path)
    return path


def load_from_local_safely(path: str, map_location: Any = None) -> Any:
    """Load a local file; see :func:`load_checkpoint`."""
    path = osp.expanduser(path)
    if not osp.isfile(path):
        raise FileNotFoundRefusal(
            f'Checkpoint {path!r} does not exist (working '
            f'folder {os.getcwd()!r}). Correct the path, '
            'or run the stage that writes it first.')
    try:
        return load_without_code(path, map_location, NAMES, STATES)
    except RefusedPickleError as error:
        raise UnsafeCheckpointError(
            f'Checkpoint {path!r} holds more than tensors and plain '
            'data; loading it could run code, so it is refused. If you '
            'trust its origin, load it once with '
            'torch.load(path, weights_only=False) in a script of your '
            "own and save its 'state_dict'.") from error
    except Exception as error:
        raise ValueRefusal(
            f'Checkpoint {path!r} ({osp.getsize(path)} bytes) is empty, '
            f'truncated or no checkpoint ({type(error).__name__}: {error}). '
            'Use another file.') from error


def is_intact(path: str) -> bool:
    """Whether a checkpoint file is complete: a zip whose checksums hold."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except (OSError, zipfile.BadZipFile):
        return False


def use_safe_loading() -> None:
    """Make every local load by mmengine's functions refuse code.

    Call it once in a program's main module; the package's tools do.
    """
    CheckpointLoader.register_scheme(
        prefixes='', loader=load_from_local_safely, force=True)


def state_dict_of(checkpoint: Any, path: str,
                  as_mmengine: bool = False) -> Dict[str, Tensor]:
    """The weights in a checkpoint of the usual layouts.

    Args:
        checkpoint: What :func:`load_checkpoint` returned.
        path (str): Its path, for the message.
        as_mmengine (bool): Look only where mmengine does when it loads the
            file itself, at the top and under ``state_dict``. Defaults to
            False.

    Returns:
        dict[str, Tensor]: Tensors by name; of two networks side by side
        those of both, under ``teacher.`` and ``student.``.

    Raises:
        ValueError: If it holds no tensors by name.
    """
    for place in PLACES[:1] if as_mmengine else PLACES:
        inner = checkpoint
        for key in place:
            inner = inner.get(key) if isinstance(inner, dict) else None
        if isinstance(inner, dict):
            checkpoint = inner
            break
    else:
        if not as_mmengine and isinstance(checkpoint, dict) and all(
                isinstance(checkpoint.get(part), dict) for part in PAIR):
            checkpoint = {f'{part}.{name}': value for part in PAIR
                          for name, value in checkpoint[part].items()}
    tensors = {}
    if isinstance(checkpoint, dict):
        tensors = {
            k[len('module.'):] if k.startswith('module.') else k: v
            for k, v in checkpoint.items() if isinstance(v, Tensor)
        }
    if not tensors:
        where = "'state_dict'" if as_mmengine else "'state_dict' or 'model'"
        raise ValueRefusal(
            f'Checkpoint {path!r} holds no weights: expected a dict of '
            f'tensors, alone or under {where}. tools/convert_checkpoint.py '
            'reads more layouts and writes this one.')
    return tensors


def save_atomically(content: Any, path: str) -> None:
    """Write a checkpoint so that ``path`` is always old or new, never torn.

    The file is written beside its place, flushed to the disk and then put in
    place. If that fails, the part written is removed.

    Raises:
        OSError: If there is no space or no permission; an older file at
            ``path`` is still there.
    """
    partial = f'{path}.partial'
    try:
        with open(partial, 'wb') as file:
            torch.save(content, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException as error:
        if osp.exists(partial):
            os.remove(partial)
        if not isinstance(error, (OSError, RuntimeError)):
            raise
        raise OSRefusal(
            f'Could not write checkpoint {path!r}: {error}. Nothing at that '
            'path was changed. Check free space and permissions, then '
            'resume.') from error
