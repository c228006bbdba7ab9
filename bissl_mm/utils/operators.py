"""Checks for mmcv's compiled operators, which mmdet needs at its import."""

import re
from importlib.util import find_spec
from typing import Any

from .errors import RuntimeRefusal

#: mmdet's name as a scope, and as the prefix of a type.
_MMDET = re.compile(r"'mmdet'|'mmdet(\.|::)")


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
    """Refuse a config that uses mmdet if mmcv lacks the operators for it.

    Args:
        cfg (Config): Any config.

    Raises:
        RuntimeError: If the config uses mmdet, and the operators are missing or
            cannot work on the GPU that the run would use.
    """
    if not _MMDET.search(repr(cfg.to_dict())):
        return
    name = getattr(cfg, 'filename', None) or 'The config'
    if not has_compiled_operators():
        raise RuntimeRefusal(
            f'{name} needs mmdet, '
            "and mmdet needs mmcv's compiled operators, which this "
            'environment lacks. Type: make ops (or install mmcv with them, '
            'not mmcv-lite).'
        )
    if lacks_gpu_operators():
        import torch

        raise RuntimeRefusal(
            f"{name} needs mmdet, and mmdet needs mmcv's compiled operators on "
            'the GPU, but this mmcv was built with those of the CPU only. Build '
            f'it where nvcc of CUDA {torch.version.cuda} is installed: '
            'FORCE_CUDA=1 make ops VENV=NEW-FOLDER; or set '
            'CUDA_VISIBLE_DEVICES=-1 to run on the CPU.'
        )
