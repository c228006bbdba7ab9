"""Attributes that are others for a while."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def replaced(target: Any, name: str, value: Any) -> Iterator[None]:
    """Inside, an attribute of one object is another.

    Args:
        target (Any): The object. One that had the attribute from its class
            has it from there again afterwards.
        name (str): Of the attribute.
        value (Any): In its place.
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
