"""Numbers and lists that modules keep beside their tensors."""

from collections import deque
from collections.abc import Collection, Iterator
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
        model (nn.Module): Its numbers and lists are restored. Tensors and dicts are
            not, nor is what stands beside a tensor that was exchanged: a table that is
            kept with its size.
    """
    kept = [(own, _tensors(own), _numbers(own)) for own in _owners(model)]
    try:
        yield
    finally:
        for own, tensors, numbers in kept:
            now = _tensors(own)
            if now.keys() == tensors.keys() and _same(now.values(), tensors.values()):
                _restore(own, numbers)


def _numbers(own: dict[str, Any]) -> list[tuple[str, Any, list[Any] | None]]:
    """Names and values, with the items of lists."""
    return [
        (name, value, list(value) if isinstance(value, _LISTS) else None)
        for name, value in own.items()
        if isinstance(value, (int, float, *_LISTS)) and name not in _OF_TORCH
    ]


def _tensors(own: dict[str, Any]) -> dict[str, Tensor]:
    """Those that are neither parameters nor buffers."""
    return {name: value for name, value in own.items() if isinstance(value, Tensor)}


def _restore(
    own: dict[str, Any], numbers: list[tuple[str, Any, list[Any] | None]]
) -> None:
    for name, value, items in numbers:
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


def _same(values: Collection[Any], items: Collection[Any]) -> bool:
    return len(values) == len(items) and all(
        a is b for a, b in zip(values, items, strict=True)
    )
