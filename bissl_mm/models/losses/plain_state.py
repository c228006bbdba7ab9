"""Numbers and lists that modules keep beside their tensors."""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

#: Attributes of every module, which are torch's own.
_OF_TORCH = frozenset(vars(nn.Module()))
_LISTS = (list, deque)


@contextmanager
def held_numbers(model: nn.Module) -> Iterator[None]:
    """Inside, modules may count and collect; afterwards all is as before.

    Some count their forward passes (mmdet's ``DropBlock``) or collect statistics of
    them in a list (``DynamicRoIHead``), which no buffer shows. Numbers of the plain
    objects that a module holds, such as an assigner's thresholds, are restored, too.

    Args:
        model (nn.Module): Its numbers and lists are restored. Tensors and dicts are not.
    """
    kept = [
        (own, name, value, list(value) if isinstance(value, _LISTS) else None)
        for own in _owners(model)
        for name, value in own.items()
        if isinstance(value, (int, float, *_LISTS)) and name not in _OF_TORCH
    ]
    try:
        yield
    finally:
        for own, name, value, items in kept:
            if own.get(name) is not value:
                own[name] = value
            if items is not None and not _same(value, items):
                value.clear()
                value.extend(items)


def _owners(model: nn.Module) -> Iterator[dict[str, Any]]:
    """The attributes of all modules, and of the plain objects in them."""
    seen: set[int] = set()
    for module in model.modules():
        yield vars(module)
        for name, value in list(vars(module).items()):
            if name in _OF_TORCH or isinstance(value, (nn.Module, Tensor, type, dict)):
                continue
            own = getattr(value, '__dict__', None)
            if isinstance(own, dict) and id(own) not in seen:
                seen.add(id(own))
                yield own


def _same(values: Any, items: list[Any]) -> bool:
    return len(values) == len(items) and all(
        a is b for a, b in zip(values, items, strict=True)
    )
