"""Reads switches from environment variables.

Imports the standard library only, because the tools read one before all else.
"""

import os

from .errors import ValueRefusal

#: What a user may write, in upper or lower case -> what it means.
VALUES = {
    **dict.fromkeys(('1', 'true', 'yes', 'on'), True),
    **dict.fromkeys(('0', 'false', 'no', 'off'), False),
}


def environment_switch(name: str, default: bool) -> bool:
    """Whether an environment variable switches something on.

    Args:
        name (str): The variable.
        default (bool): What counts if it is not set, or empty.

    Raises:
        ValueError: If its value is none of :data:`VALUES`.
    """
    value = os.environ.get(name, '')
    if not value:
        return default
    if value.lower() not in VALUES:
        raise ValueRefusal(
            f'The environment variable {name} is {value!r}, which is neither on nor '
            f'off. Type {name}=1 (true, yes, on) or {name}=0 (false, no, off) before '
            'the command.'
        )
    return VALUES[value.lower()]
