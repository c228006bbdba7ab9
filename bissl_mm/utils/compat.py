"""One interface to what differs between versions of torch, 2.1 to date.

Imports torch and the standard library only: the hypergradient core uses it.
Elsewhere in the package a version is never asked for.
"""

import pickle
import tarfile
import zipfile
from contextlib import AbstractContextManager
from types import SimpleNamespace
from typing import Any, Dict

import torch

from .versions import release

_TORCH = release(torch.__version__)


class RefusedPickleError(pickle.UnpicklingError):
    """A pickle names something that it may not use."""


def is_autocast_enabled(device_type: str) -> bool:
    """``torch.is_autocast_enabled`` of 2.4, which takes the device.

    Args:
        device_type (str): ``'cpu'``, ``'cuda'`` or another of torch's.
    """
    if _TORCH >= (2, 4):
        return torch.is_autocast_enabled(device_type)
    if device_type == 'cpu':
        return torch.is_autocast_cpu_enabled()
    return torch.is_autocast_enabled()


def plain_attention() -> AbstractContextManager:
    """Inside, attention takes torch's plain implementation, the only one
    that has a second derivative."""
    if _TORCH >= (2, 3):
        from torch.nn.attention import SDPBackend, sdpa_kernel
        return sdpa_kernel(SDPBackend.MATH)
    return torch.backends.cuda.sdp_kernel(
        enable_flash=False, enable_math=True, enable_mem_efficient=False)


def load_without_code(path: str, map_location: Any,
                      allowed: Dict[str, Any]) -> Any:
    """``torch.load`` that builds tensors, plain data and what is allowed.

    Before torch 2.6 ``weights_only=True`` knows too few opcodes and no names
    of one's own, so there the pickle is read by :class:`_Unpickler`.

    Args:
        path (str): Local file.
        map_location: See :func:`torch.load`.
        allowed (dict[str, Any]): What may be called besides torch's own list,
            by the name that stands in the pickle, ``'module.name'``.

    Raises:
        RefusedPickleError: If the file names anything else.
        Exception: Of any kind, if it is damaged.
    """
    _check_container(path)
    if _TORCH >= (2, 6):
        try:
            with torch.serialization.safe_globals(
                    [(value, name) for name, value in allowed.items()]):
                return torch.load(
                    path, map_location=map_location, weights_only=True)
        except pickle.UnpicklingError as error:
            # What it would have to run it refuses in these words; anything
            # else it stumbles over is damage.
            text = str(error)
            if 'weights_only' in text.lower() and any(
                    word in text for word in ('GLOBAL', 'Unsupported',
                                              'Can only build')):
                raise RefusedPickleError(text) from error
            raise
    names = {**_torch_globals(), **allowed}

    class Unpickler(_Unpickler):
        known = names

    # torch.load names these three of a pickle module.
    module = SimpleNamespace(
        __name__='restricted_pickle', Unpickler=Unpickler,
        load=lambda file, **kwargs: Unpickler(file, **kwargs).load())
    return torch.load(path, map_location=map_location, pickle_module=module,
                      weights_only=False)


def _check_container(path: str) -> None:
    """Refuse the two kinds of file that torch.load hands to other readers."""
    if tarfile.is_tarfile(path):
        raise RefusedPickleError('a tar archive, the format before torch 0.2')
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if any(name.endswith('/constants.pkl') or name == 'constants.pkl'
                   for name in archive.namelist()):
                raise RefusedPickleError('a TorchScript archive')


def _torch_globals() -> Dict[str, Any]:
    """torch's own list, with what it forgot in the early versions."""
    from torch._weights_only_unpickler import _get_allowed_globals
    return {
        **_get_allowed_globals(),
        **{str(value): value for value in vars(torch).values()
           if isinstance(value, torch.dtype)},
        'torch.device': torch.device,
        'builtins.set': set,
        # Protocol 2 spells bytes this way.
        '_codecs.encode': _latin1,
    }


def _latin1(text: str, encoding: str) -> bytes:
    if encoding != 'latin1':
        raise RefusedPickleError(f'an encoding {encoding!r}')
    return text.encode('latin1')


class _Unpickler(pickle._Unpickler):
    """Reads a pickle that names only what is known.

    Every name is looked up in a table and never imported, and state is given
    to instances alone, never to a class or a function. The implementation in
    Python is the base, since that in C does not let the second be refused.
    """

    known: Dict[str, Any] = {}
    dispatch = dict(pickle._Unpickler.dispatch)

    def find_class(self, module: str, name: str) -> Any:
        module = 'builtins' if module == '__builtin__' else module
        full_name = f'{module}.{name}'
        if full_name not in self.known:
            raise RefusedPickleError(f'Unsupported global: {full_name}')
        return self.known[full_name]

    def load_build(self) -> None:
        instance = self.stack[-2]
        types = tuple(v for v in self.known.values() if isinstance(v, type))
        if isinstance(instance, type) or not isinstance(instance, types):
            raise RefusedPickleError(
                f'Unsupported state of {type(instance).__name__}')
        super().load_build()

    dispatch[pickle.BUILD[0]] = load_build
