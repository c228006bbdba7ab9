"""Loads checkpoint files without running code, and writes them atomically."""

import os
import os.path as osp
import zipfile
from typing import Any

import torch
from mmengine.runner import checkpoint as mmengine_checkpoint
from mmengine.runner.checkpoint import CheckpointLoader

# Most callers that load a checkpoint want its weights.
from .checkpoint_layouts import state_dict_of  # noqa: F401
from .checkpoint_sources import as_text, local_file
from .containers import ContainerError, look_into
from .errors import FileNotFoundRefusal, ImportRefusal, OSRefusal, ValueRefusal
from .files import atomic_file, is_write_failure
from .pickled_objects import NAMES, STATES
from .restricted_pickle import RefusedPickleError, load_without_code

Source = str | os.PathLike


class UnsafeCheckpointError(ValueRefusal):
    """A checkpoint holds objects whose loading could run code."""


def load_checkpoint(path: Source, map_location: Any = 'cpu') -> Any:
    """Load a checkpoint; only tensors and plain data are accepted.

    mmengine's loaders unpickle a file fully, at once or after a first refusal.
    That runs whatever code the file holds. This loader never does,
    wherever the file comes from.

    Args:
        path (str or os.PathLike): Local file or any source of
            :func:`~bissl_mm.utils.checkpoint_sources.local_file`, written by
            ``torch.save`` or safetensors.
        map_location: See :func:`torch.load`. Defaults to ``'cpu'``.

    Raises:
        FileNotFoundError: If a local file does not exist.
        OSError: If an address cannot be read, or for a folder.
        UnsafeCheckpointError: If the file holds other objects.
        ValueError: If the file is damaged or the source unknown.
    """
    source = as_text(path)
    with local_file(source) as file:
        file = osp.expanduser(file)
        if osp.isdir(file):
            raise OSRefusal(
                f'Checkpoint {source!r} is a folder. Type the path of a file in it.'
            )
        if not osp.isfile(file):
            raise FileNotFoundRefusal(
                f'Checkpoint {source!r} does not exist (working '
                f'folder {os.getcwd()!r}). Correct the path, '
                'or run the stage that writes it first.'
            )
        checkpoint = _read(file, source, map_location)
    if source.startswith('mmcls://'):
        # mmengine treats files from these sources as bare backbones.
        return mmengine_checkpoint._process_mmcls_checkpoint(checkpoint)
    return checkpoint


def _read(path: str, source: str, map_location: Any) -> Any:
    try:
        container = look_into(path)
        if container.kind == 'safetensors':
            return _read_safetensors(path, map_location)
        return load_without_code(path, map_location, NAMES, STATES, container)
    except ContainerError as error:
        raise UnsafeCheckpointError(
            f'Checkpoint {source!r} is refused: {error}. Give a file of '
            "torch.save with a 'state_dict', or of safetensors."
        ) from error
    except RefusedPickleError as error:
        raise UnsafeCheckpointError(
            f'Checkpoint {source!r} holds more than tensors and plain '
            f'data ({error}); loading it could run code, so it is refused. '
            'If you trust its origin, write a script that loads it with '
            'torch.load(path, weights_only=False) and saves its '
            "'state_dict'."
        ) from error
    except ImportRefusal:
        raise
    except Exception as error:
        raise ValueRefusal(
            f'Checkpoint {source!r} ({osp.getsize(path)} bytes) is empty, '
            f'truncated or not a checkpoint ({type(error).__name__}: {error}). '
            'Use another file.'
        ) from error


def _read_safetensors(path: str, map_location: Any) -> Any:
    try:
        from safetensors.torch import load_file
    except ImportError as error:
        raise ImportRefusal(
            f'Checkpoint {path!r} is in the safetensors format, whose reader '
            'is not installed. Type pip install safetensors'
        ) from error
    tensors = load_file(path)
    if isinstance(map_location, (str, torch.device)):
        return {k: v.to(map_location) for k, v in tensors.items()}
    return tensors


def load_from_restricted(filename: str, map_location: Any = None) -> Any:
    """:func:`load_checkpoint` with the arguments of mmengine's loaders."""
    return load_checkpoint(filename, map_location)


def is_intact(path: str) -> bool:
    """Whether a checkpoint file is complete: a zip with right checksums."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except (OSError, zipfile.BadZipFile):
        return False


def use_safe_loading() -> None:
    """Make mmengine's loading functions refuse code, for every source.

    Call it once in a program's main module. The package's tools do.
    """
    CheckpointLoader.register_scheme(
        ['', *CheckpointLoader._schemes], loader=load_from_restricted, force=True
    )


def save_atomically(content: Any, path: str) -> None:
    """Write a checkpoint; ``path`` holds the old or the new file, never half.

    See :func:`~bissl_mm.utils.files.atomic_path`.

    Raises:
        OSError: If there is no space or no permission. An older file at
            ``path`` is kept.
    """
    try:
        with atomic_file(path, 'wb') as file:
            torch.save(content, file)
    except (OSError, RuntimeError) as error:
        if not is_write_failure(error):
            raise
        raise OSRefusal(
            f'Checkpoint {path!r} cannot be written: {error}. Nothing at that path '
            'was changed. Check the free space and the permissions, then resume.'
        ) from error
