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


def check_compiled_operators(cfg: Any) -> None:
    """Refuse a config that uses mmdet if mmcv has no compiled operators.

    Args:
        cfg (Config): Any config.

    Raises:
        RuntimeError: If the config uses mmdet and the operators are missing.
    """
    if _MMDET.search(repr(cfg.to_dict())) and not has_compiled_operators():
        raise RuntimeRefusal(
            f'{getattr(cfg, "filename", None) or "The config"} needs mmdet, '
            "and mmdet needs mmcv's compiled operators, which this "
            'environment lacks. Type: make ops (or install mmcv with them, '
            'not mmcv-lite).'
        )
