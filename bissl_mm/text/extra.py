"""Imports the libraries of the extra ``text`` where they are needed."""

from importlib import import_module
from typing import Any

from ..utils.errors import ImportRefusal


def extra(name: str) -> Any:
    """A module of the extra ``text``.

    Args:
        name (str): Name of the module.

    Raises:
        ImportError: If it is missing, with the command that installs it.
    """
    try:
        return import_module(name)
    except ImportError as error:
        raise ImportRefusal(
            f'bissl_mm.text needs {name.partition(".")[0]} ({error}). Type pip '
            "install -e '.[text]' in the folder of bissl_mm."
        ) from error


__all__ = ['extra']
