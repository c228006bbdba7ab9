"""Reads configs and checks their variables, options, keys and values."""

from .read import notes_of, read_config
from .types import is_type, type_name

__all__ = ['is_type', 'notes_of', 'read_config', 'type_name']
