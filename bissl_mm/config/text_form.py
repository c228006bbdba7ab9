"""Finds what a config holds and its text cannot.

mmengine writes a config as text, beside the logs and into every checkpoint. It ends in
a SyntaxError, with the whole text, at a value whose text is no Python.
"""

import ast
from types import FunctionType, ModuleType
from typing import Any

from mmengine.config import Config

from ..utils.errors import ValueRefusal
from .keys import known_keys, walk

_PLAIN = (str, int, float, bool, type, type(None))


def leave_out_functions(cfg: Config) -> None:
    """Remove the functions and modules that a config file uses while it is read.

    mmengine does it for files of its old style, and not for those of the new one.

    Args:
        cfg (Config): As read from its file; changed.
    """
    for key, value in cfg.to_dict().items():
        if isinstance(value, (FunctionType, ModuleType)) and key not in known_keys():
            cfg.pop(key)


def check_text_form(cfg: Config) -> None:
    """Refuse a value that no text stands for, such as a function.

    Args:
        cfg (Config): A whole config; not changed.

    Raises:
        ValueError: With the key and the value.
    """
    for key, value in cfg.to_dict().items():
        for place, node in walk(key, value):
            if isinstance(node, (*_PLAIN, dict, list, tuple)) or _is_code(node):
                continue
            name = getattr(node, '__name__', None)
            shown = f'the function {name!r}' if name else repr(node)
            raise ValueRefusal(
                f'{cfg.filename}: {place} is {shown}, which no text stands for, but a '
                'run writes its config as text into its folder and its checkpoints. '
                + _remedy(node)
            )


def _is_code(value: Any) -> bool:
    try:
        ast.parse(str(value), mode='eval')
    except (SyntaxError, ValueError):
        return False
    return True


def _remedy(value: Any) -> str:
    if callable(value):
        return (
            'Put the function into a module of your own. A config with read_base() '
            'imports it from there; another one names it, if custom_imports names the '
            'module and the function is registered there.'
        )
    return (
        'Write a number, a text, a list or a dict, which for an object is '
        'dict(type=CLASS, ...).'
    )
