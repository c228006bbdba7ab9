"""``torch.load`` that runs nothing a file names, with every torch from 2.1.

Imports torch and the standard library only. torch's own ``weights_only`` is
not used. Before 2.6 it knows too few opcodes. Later versions give an object
its state unchecked, which is not safe with numpy's objects.
"""

import os
import pickle
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import torch

from .containers import Container
from .pickled_storages import RefusedPickleError, Storages, within_storage

#: If this environment variable is set, torch refuses all other readers.
FORCE = 'TORCH_FORCE_WEIGHTS_ONLY_LOAD'
#: torch's functions whose last argument is a state.
WITH_STATE = (
    'torch._tensor._rebuild_from_type_v2',
    'torch._utils._rebuild_parameter_with_state',
)
#: torch's functions that build a tensor on a storage. Their first arguments are
#: storage, offset, size and strides.
OVER_STORAGE = tuple(
    f'torch._utils._rebuild_{kind}'
    for kind in ('tensor', 'tensor_v2', 'tensor_v3', 'qtensor')
)
#: Classes that may be called. Tensor classes may not: they allocate memory.
CALLED = (OrderedDict, Counter, torch.Size, torch.device, set, complex, slice)


class Blank:
    """A class that a pickle may instantiate without arguments, but not call.

    Args:
        kind (type): The class.
    """

    def __init__(self, kind: type) -> None:
        self.kind = kind


def load_without_code(
    path: str,
    map_location: Any,
    names: dict[str, Any],
    states: dict[type, Callable],
    container: Container,
) -> Any:
    """``torch.load`` that builds tensors, plain data and what is allowed.

    Args:
        path (str): Local file.
        map_location: See :func:`torch.load`.
        names (dict[str, Any]): What a pickle may use besides torch's own list,
            by its name in the pickle, ``'module.name'``. Functions may be
            called; a :class:`Blank` stands for a class.
        states (dict[type, Callable]): Classes whose instances may be given a
            state. The function gets instance and state, and raises
            :class:`RefusedPickleError` if the state is not to be trusted.
        container (Container): What is known about the file.

    Raises:
        RefusedPickleError: If the file names anything else.
        Exception: Any exception, if the file is damaged.
    """
    names, checks = {**_torch_globals(), **names}, states

    class Unpickler(_Unpickler):
        known = names
        ids = {id(value) for value in names.values()}
        states = checks
        storages = Storages(container)

    # torch.load uses these three names of a pickle module.
    module = SimpleNamespace(
        __name__='restricted_pickle',
        Unpickler=Unpickler,
        load=lambda file, **kwargs: Unpickler(file, **kwargs).load(),
    )
    with _own_reader():
        return torch.load(
            path, map_location=map_location, pickle_module=module, weights_only=False
        )


@contextmanager
def _own_reader() -> Iterator[None]:
    forced = os.environ.pop(FORCE, None)
    try:
        yield
    finally:
        if forced is not None:
            os.environ[FORCE] = forced


def _torch_globals() -> dict[str, Any]:
    """torch's own list, and what early versions of it lack."""
    from torch._weights_only_unpickler import _get_allowed_globals

    # A file with sparse tensors needs only this function, whose result is
    # validated later.
    listed = {
        name: value
        for name, value in _get_allowed_globals().items()
        if '.sparse.' not in name
    }
    return {
        **listed,
        **{
            name: _with_checked_state(listed[name])
            for name in WITH_STATE
            if name in listed
        },
        **{
            name: within_storage(listed[name])
            for name in OVER_STORAGE
            if name in listed
        },
        **{
            str(value): value
            for value in vars(torch).values()
            if isinstance(value, torch.dtype)
        },
        'torch.device': torch.device,
        'builtins.set': set,
        # Protocol 2 writes bytes by the first, and empty bytes by the second.
        '_codecs.encode': _latin1,
        'builtins.bytes': _no_bytes,
        'builtins.bytearray': _bytearray,
    }


def _latin1(text: str, encoding: str) -> bytes:
    if encoding != 'latin1':
        raise RefusedPickleError(f'an encoding {encoding!r}')
    return text.encode('latin1')


def _no_bytes() -> bytes:
    return b''


def _bytearray(content: bytes = b'') -> bytearray:
    if type(content) is not bytes:
        raise RefusedPickleError('a bytearray of no bytes')
    return bytearray(content)


def _with_checked_state(function: Callable) -> Callable:

    def call(*arguments: Any) -> Any:
        _check_attributes(function, arguments[-1])
        return function(*arguments)

    return call


def _check_attributes(instance: Any, state: Any) -> None:
    """Refuse a state with special attributes.

    numpy would read memory at any address that an instance's
    ``__array_interface__`` names.

    Raises:
        RefusedPickleError: If the state has a special attribute.
    """
    for part in state if isinstance(state, tuple) else (state,):
        if isinstance(part, dict):
            for name in part:
                if isinstance(name, str) and name.startswith('__'):
                    raise RefusedPickleError(
                        f'Unsupported attribute {name} of {type(instance).__name__}'
                    )


class _Unpickler(pickle._Unpickler):
    """Reads a pickle that uses known names only.

    Every name is looked up in a table; nothing is imported. Only entries of
    the table are called, and only checked states are given to objects. The
    base class is the pickle module's Python implementation, because the one
    in C does not allow such limits.
    """

    known: dict[str, Any] = {}
    ids: set = set()
    states: dict[type, Callable] = {}
    storages: Storages
    dispatch = dict(pickle._Unpickler.dispatch)

    def find_class(self, module: str, name: str) -> Any:
        module = 'builtins' if module == '__builtin__' else module
        full_name = f'{module}.{name}'
        if full_name not in self.known:
            raise RefusedPickleError(f'Unsupported global: {full_name}')
        return self.known[full_name]

    def load_reduce(self) -> None:
        function, arguments = self.stack[-2:]
        if (
            id(function) not in self.ids
            or not callable(function)
            or (type(arguments) is not tuple)
            or (isinstance(function, type) and function not in CALLED)
        ):
            raise RefusedPickleError(f'Unsupported call of {function!r}')
        super().load_reduce()

    def load_newobj(self) -> None:
        kind, arguments = self.stack[-2:]
        if isinstance(kind, Blank) and arguments == ():
            self.stack[-2:] = [kind.kind.__new__(kind.kind)]
        elif isinstance(kind, type) and kind in CALLED and (type(arguments) is tuple):
            super().load_newobj()
        else:
            raise RefusedPickleError(f'Unsupported instance of {kind!r}')

    def load_build(self) -> None:
        instance, state = self.stack[-2:]
        if type(instance) not in (torch.Tensor, torch.nn.Parameter, OrderedDict):
            for kind in type(instance).__mro__:
                if kind in self.states:
                    self.states[kind](instance, state)
                    break
            else:
                raise RefusedPickleError(
                    f'Unsupported state of {type(instance).__name__}'
                )
        _check_attributes(instance, state)
        super().load_build()

    def load_binpersid(self) -> None:
        self.storages.check(self.stack[-1])
        super().load_binpersid()

    def load_other(self) -> None:
        raise RefusedPickleError('Unsupported way to call')

    dispatch[pickle.REDUCE[0]] = load_reduce
    dispatch[pickle.NEWOBJ[0]] = load_newobj
    dispatch[pickle.BUILD[0]] = load_build
    dispatch[pickle.BINPERSID[0]] = load_binpersid
    # Further ways to call, which torch.save (protocol 2) does not use.
    for opcode in (
        pickle.INST,
        pickle.OBJ,
        pickle.NEWOBJ_EX,
        pickle.EXT1,
        pickle.EXT2,
        pickle.EXT4,
        pickle.PERSID,
    ):
        dispatch[opcode[0]] = load_other


def _only_for(opcode: bytes, target: Callable, *kinds: type) -> None:
    """Let an opcode add items to plain containers only.

    It would call a method of other objects.
    """
    load = pickle._Unpickler.dispatch[opcode[0]]

    def limited(self: _Unpickler) -> None:
        if type(target(self)) not in kinds:
            raise RefusedPickleError(
                f'Unsupported items of {type(target(self)).__name__}'
            )
        load(self)

    _Unpickler.dispatch[opcode[0]] = limited


_only_for(pickle.APPEND, lambda self: self.stack[-2], list)
_only_for(pickle.APPENDS, lambda self: self.metastack[-1][-1], list)
_only_for(pickle.ADDITEMS, lambda self: self.metastack[-1][-1], set)
_only_for(pickle.SETITEM, lambda self: self.stack[-3], dict, OrderedDict, Counter)
_only_for(
    pickle.SETITEMS, lambda self: self.metastack[-1][-1], dict, OrderedDict, Counter
)
