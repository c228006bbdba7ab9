"""Rebuilds what checkpoints hold besides tensors.

These are numpy's numbers, the history of mmengine's logs, and the command-line
arguments that many releases store.

numpy rebuilds an array from whatever bytes a pickle gives. If the array's type
holds references, the bytes are addresses, and the first access crashes the
process or does worse. So numpy's functions are wrapped here: they accept types
of numbers only, and exactly as many bytes as the numbers need.
"""

import argparse
import math
import re
from collections.abc import Callable
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np
from mmengine.logging import HistoryBuffer

from .restricted_pickle import Blank, RefusedPickleError

#: Types of numbers and booleans, as numpy's pickles spell them.
NUMBER = re.compile('[biufc][0-9]{1,2}')
STATISTICS = ('min', 'max', 'current', 'mean')

#: Stands for ``numpy.ndarray``, which no file needs to call.
_ARRAY = object()
_HISTORY = Blank(HistoryBuffer)


def _dtype(name: str, align: bool = False, copy: bool = True) -> np.dtype:
    if not isinstance(name, str) or not NUMBER.fullmatch(name):
        raise RefusedPickleError(f'Unsupported dtype: {name!r}')
    # It is a copy, so that the state does not change numpy's own object.
    return np.dtype(name, align=False, copy=True)


def _check_dtype(instance: np.dtype, state: Any) -> None:
    """Refuse a dtype's state that says more than the byte order."""
    if (
        not isinstance(state, tuple)
        or len(state) != 8
        or (state[0], *state[2:]) != (3, None, None, None, -1, -1, 0)
        or (state[1] not in ('<', '>', '|', '='))
    ):
        raise RefusedPickleError(f'Unsupported state of a dtype: {state!r}')


def _check_numbers(dtype: Any, raw: Any, count: int) -> None:
    if (
        not isinstance(dtype, np.dtype)
        or dtype.kind not in 'biufc'
        or (dtype.hasobject)
    ):
        raise RefusedPickleError(f'Unsupported dtype: {dtype!r}')
    if type(raw) is not bytes or len(raw) != count * dtype.itemsize:
        raise RefusedPickleError(
            f'Unsupported data of an array: not {count} times {dtype!r}'
        )


def _new_array(kind: Any, shape: Any, code: Any) -> np.ndarray:
    if kind is not _ARRAY or shape != (0,) or code not in (b'b', 'b'):
        raise RefusedPickleError('Unsupported array')
    return np.empty(0, np.int8)


def _check_array(instance: np.ndarray, state: Any) -> None:
    # Only one state: a second one would free memory that tensors may use.
    if (
        instance.shape != (0,)
        or not isinstance(state, tuple)
        or (len(state) != 5 or state[0] != 1)
    ):
        raise RefusedPickleError('Unsupported state of an array')
    _, shape, dtype, fortran, raw = state
    if (
        type(shape) is not tuple
        or type(fortran) is not bool
        or any(type(size) is not int or size < 0 for size in shape)
    ):
        raise RefusedPickleError(f'Unsupported shape of an array: {shape!r}')
    _check_numbers(dtype, raw, math.prod(shape))


def _scalar(dtype: Any, raw: Any) -> np.generic:
    _check_numbers(dtype, raw, 1)
    return np.frombuffer(raw, dtype)[0]


def _statistic(owner: Any, name: str) -> Any:
    """``getattr`` limited to a history's statistics."""
    if owner is not _HISTORY or name not in STATISTICS:
        raise RefusedPickleError(f'Unsupported attribute: {name}')
    return getattr(HistoryBuffer, name)


def _check_history(instance: HistoryBuffer, state: Any) -> None:
    """Refuse a history that holds anything but numbers.

    mmengine calls the statistics by name and gives the values to numpy.
    """
    known = {name: getattr(HistoryBuffer, name) for name in STATISTICS}
    if not isinstance(state, dict):
        raise RefusedPickleError('Unsupported state of a history')
    for name, value in state.items():
        if name == 'statistics_methods':
            good = type(value) is dict and all(
                known.get(key) is method for key, method in value.items()
            )
        else:
            good = type(value) in (int, float, np.ndarray)
        if not good:
            raise RefusedPickleError(f'Unsupported {name} of a history')


def _path(kind: Callable) -> Callable:
    """A path that cannot touch the disk."""

    def call(*parts: Any) -> Any:
        if not all(type(part) is str for part in parts):
            raise RefusedPickleError(f'Unsupported path: {parts!r}')
        return kind(*parts)

    return call


def _defaultdict(factory: Any = None) -> dict:
    """A plain dict in place of a defaultdict, whose factory would be called."""
    return {}


def _frozenset(items: Any = ()) -> frozenset:
    if type(items) not in (list, tuple, set):
        raise RefusedPickleError('Unsupported frozenset')
    return frozenset(items)


#: Names that a file may use.
NAMES = {
    'numpy.dtype': _dtype,
    'numpy.ndarray': _ARRAY,
    # numpy 1 and numpy 2.
    **{
        f'numpy.{core}.multiarray.{name}': function
        for core in ('core', '_core')
        for name, function in (('_reconstruct', _new_array), ('scalar', _scalar))
    },
    'mmengine.logging.history_buffer.HistoryBuffer': _HISTORY,
    'builtins.getattr': _statistic,
    'builtins.slice': slice,
    'argparse.Namespace': Blank(argparse.Namespace),
    # Command-line arguments. Python 3.13 has these in another module.
    **{
        f'pathlib.{module}{name}Path': _path(kind)
        for module in ('', '_local.')
        for names, kind in (
            (('Posix', 'PurePosix'), PurePosixPath),
            (('Windows', 'PureWindows'), PureWindowsPath),
        )
        for name in names
    },
    'collections.defaultdict': _defaultdict,
    **{
        f'builtins.{kind.__name__}': Blank(kind)
        for kind in (int, float, str, bool, list, dict)
    },
    # The names of Python 2, which pickles of protocol 2 still use.
    'builtins.long': Blank(int),
    'builtins.unicode': Blank(str),
    'builtins.frozenset': _frozenset,
}
#: Classes whose instances may be given a state, with the check of that state.
STATES = {
    np.dtype: _check_dtype,
    np.ndarray: _check_array,
    HistoryBuffer: _check_history,
    # Any attributes; special ones are always refused.
    argparse.Namespace: lambda instance, state: None,
}
