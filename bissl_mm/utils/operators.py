"""Checks for mmcv's compiled operators.

mmdet needs them at its import, and upstream's mmseg does.
"""

import re
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from .errors import RuntimeRefusal


def has_compiled_operators() -> bool:
    """Whether the installed mmcv has compiled operators; mmcv-lite has none."""
    return find_spec('mmcv._ext') is not None


def lacks_gpu_operators() -> bool:
    """Whether torch sees a GPU, but mmcv's operators were built for the CPU
    only.

    That happens in silence where mmcv is built on a machine without a GPU, for
    example a login node.
    """
    import torch

    if not torch.cuda.is_available():
        return False
    from mmcv.ops import get_compiling_cuda_version

    return get_compiling_cuda_version() == 'not available'


def check_compiled_operators(cfg: Any) -> None:
    """Refuse a config whose library needs operators of mmcv that are missing.

    Args:
        cfg (Config): Any config.

    Raises:
        RuntimeError: If the config uses mmdet, or an mmseg that needs them, and the
            operators are missing; or if it uses mmdet, and they cannot work on the
            GPU that the run would use.
    """
    name = getattr(cfg, 'filename', None) or 'The config'
    text = repr(cfg.to_dict())
    if not has_compiled_operators():
        for library in ('mmdet', 'mmseg'):
            if _uses(text, library) and _needs_operators(library):
                raise RuntimeRefusal(
                    f"{name} needs {library}, and {library} needs mmcv's compiled "
                    'operators, which this environment lacks. Type: make ops (or '
                    'install mmcv with them, not mmcv-lite).'
                )
    elif _uses(text, 'mmdet') and lacks_gpu_operators():
        import torch

        raise RuntimeRefusal(
            f"{name} needs mmdet, and mmdet needs mmcv's compiled operators on "
            'the GPU, but this mmcv was built with those of the CPU only. Build '
            f'it where nvcc of CUDA {torch.version.cuda} is installed: '
            'FORCE_CUDA=1 make ops VENV=NEW-FOLDER; or set '
            'CUDA_VISIBLE_DEVICES=-1 to run on the CPU.'
        )


def _uses(text: str, library: str) -> bool:
    """Whether a config has a library's name as a scope or as the prefix of a type."""
    return re.search(rf"'{library}('|\.|::)", text) is not None


def _needs_operators(library: str) -> bool:
    """Whether a library needs the operators, of which there are none, at its import.

    mmdet does. Of mmseg upstream's does, and the continuation does not.
    """
    if library == 'mmdet':
        return True
    try:
        import_module('mmseg.utils')
    except ModuleNotFoundError as error:
        return error.name == 'mmcv._ext'
    return False
