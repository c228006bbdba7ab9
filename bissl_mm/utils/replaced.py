"""Replaces an attribute for a while."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def replaced(target: Any, name: str, value: Any) -> Iterator[None]:
    """Inside, an attribute of one object has another value.

    Args:
        target (Any): The object. If it had the attribute from its class, it has
            it from its class again afterwards.
        name (str): Name of the attribute.
        value (Any): The value inside.
    """
    own = vars(target)
    is_own, before = name in own, own.get(name)
    setattr(target, name, value)
    try:
        yield
    finally:
        if is_own:
            setattr(target, name, before)
        else:
            delattr(target, name)
