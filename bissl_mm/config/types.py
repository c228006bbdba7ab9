"""Reads the ``type`` of a config, which is a name or the class itself."""

import re
from typing import Any


def type_name(kind: Any) -> str:
    """The name of a type without scope and module; ``''`` if there is none.

    Args:
        kind (str, type or Callable): As in a config: ``'mmdet.CocoDataset'``,
            ``'torchvision/ToTensor'``, or a class or a function in mmengine's
            new style.
    """
    if kind is None:
        return ''
    name = (
        kind if isinstance(kind, str) else getattr(kind, '__name__', None) or str(kind)
    )
    return re.split(r'[./:]', name)[-1]


def is_type(cfg: Any, *names: str) -> bool:
    """Whether a config has one of these types, by name or as a class.

    A class also has the types of its parents.

    Args:
        cfg (dict): A config with ``type``; anything else has none.
        names (str): Names without scope.
    """
    kind = cfg.get('type') if isinstance(cfg, dict) else None
    classes = kind.__mro__ if isinstance(kind, type) else [kind]
    return any(type_name(c) in names for c in classes)
