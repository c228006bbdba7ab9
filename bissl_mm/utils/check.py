"""Checks of user input, whose messages name the remedy.

Imports the standard library only, because ``hypergradient/`` uses it, too.
"""

import difflib
import functools
import inspect
import math
from collections.abc import Collection, Iterable, Mapping
from typing import Any, get_args

from .errors import TypeRefusal, ValueRefusal


def check_known_keys(where: str, given: Iterable[str], known: Collection[str]) -> None:
    """Refuse unknown keys and name the nearest known one.

    Args:
        where (str): Where the keys stand, for the message.
        given (Iterable[str]): The keys to check.
        known (Collection[str]): All keys that exist.

    Raises:
        TypeError: For the first unknown key.
    """
    for key in given:
        if key in known:
            continue
        near = difflib.get_close_matches(key, known, n=1, cutoff=0.0)
        hint = f' Did you mean {near[0]!r}?' if near else ''
        raise TypeRefusal(
            f'{where}: unknown key {key!r}.{hint} Known keys: '
            f'{", ".join(sorted(known))}.'
        )


def check_keys(cls: type) -> type:
    """Class decorator that refuses misspelt and missing constructor arguments.

    The message names the nearest right argument. If ``__init__`` takes
    ``**kwargs`` for a parent, the parent's arguments are known, too.

    A class may have ``MOVED``, a dict: argument of an earlier version -> where
    its setting is now.
    """
    init = cls.__init__
    known = init_keys(cls)

    @functools.wraps(init)
    def checked_init(self, *args: Any, **kwargs: Any) -> None:
        check_not_moved(cls.__name__, kwargs, getattr(cls, 'MOVED', {}))
        try:
            check_known_keys(cls.__name__, kwargs, known)
        except TypeRefusal as error:
            raise TypeRefusal(
                f'{error} If a base config gives it to another type, write '
                f'dict(_delete_=True, type={cls.__name__!r}, ...).'
            ) from None
        _check_complete(cls, init, args, kwargs)
        _check_flags(cls, init, kwargs)
        init(self, *args, **kwargs)

    cls.__init__ = checked_init
    return cls


def _check_complete(cls: type, init: Any, args: tuple, kwargs: Mapping) -> None:
    """Refuse a missing argument, unless ``**kwargs`` may pass it on."""
    parameters = list(inspect.signature(init).parameters.values())[1:]
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    missing = [
        p.name
        for index, p in enumerate(parameters)
        if p.kind in kinds
        and p.default is p.empty
        and p.name not in kwargs
        and (p.kind is kinds[1] or index >= len(args))
    ]
    if missing:
        raise TypeRefusal(
            f'{cls.__name__} lacks {", ".join(missing)}. Write '
            f'dict(type={cls.__name__!r}, {", ".join(f"{m}=..." for m in missing)}).'
        )


def _check_flags(cls: type, init: Any, kwargs: Mapping) -> None:
    """Refuse text for True and False: any text but the empty one would be True."""
    for name, parameter in inspect.signature(init).parameters.items():
        kinds = {*get_args(parameter.annotation)} or {parameter.annotation}
        if name in kwargs and bool in kinds and kinds <= {bool, type(None)}:
            allowed = (True, False) + ((None,) if len(kinds) > 1 else ())
            check_in(cls.__name__, name, kwargs[name], allowed)


def check_not_moved(where: str, given: Iterable[str], moved: Mapping[str, str]) -> None:
    """Refuse keys of an earlier version, all in one message.

    Args:
        where (str): Where the keys stand.
        given (Iterable[str]): The keys.
        moved (dict): Old key -> its new place.

    Raises:
        TypeError: With the new place of each key.
    """
    found = [key for key in moved if key in given]
    if found:
        raise TypeRefusal(
            f'{where}: '
            + '; '.join(f'{key} is now {moved[key]}' for key in found)
            + '. Move '
            + ('it' if len(found) == 1 else 'them')
            + ' there.'
        )


def init_keys(cls: type) -> set:
    """Names of a class's constructor arguments.

    The arguments of a parent count, too, if ``**kwargs`` passes them on.
    """
    keys = set()
    for base in cls.__mro__:
        if '__init__' not in vars(base):
            continue
        parameters = list(inspect.signature(base.__init__).parameters.values())[1:]
        keys.update(
            p.name
            for p in parameters
            if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
        )
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    return keys


def check_positive_int(where: str, name: str, value: Any) -> None:
    """Raise a ``ValueError`` unless ``value`` is an int of at least 1."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueRefusal(
            f'{where}: {name} must be a whole number of at least 1, but is {value!r}.'
        )


def check_non_negative(where: str, name: str, value: Any) -> None:
    """Raise a ``ValueError`` unless ``value`` is a finite number >= 0."""
    if (
        isinstance(value, bool)
        or not isinstance(value, (int, float))
        or not math.isfinite(value)
        or value < 0
    ):
        raise ValueRefusal(
            f'{where}: {name} must be a number of at least 0, but is {value!r}.'
        )


def check_in(where: str, name: str, value: Any, allowed: Collection) -> None:
    """Raise a ``ValueError`` unless ``value`` is one of ``allowed``."""
    if value not in allowed:
        options = ', '.join(repr(a) for a in allowed)
        raise ValueRefusal(
            f'{where}: {name} is {value!r}, but must be one of {options}.'
        )


def check_mapping(where: str, value: Any, known: Collection[str]) -> dict:
    """A dict argument with its keys checked; None becomes ``{}``."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise TypeRefusal(
            f'{where} must be a dict, but is {value!r}. Write dict(KEY=VALUE) '
            f'with keys among {", ".join(sorted(known))}.'
        )
    check_known_keys(where, value, known)
    return dict(value)
