"""Tensors that say ``cuda:0``, and what an operation on them does."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map_only

aten = torch.ops.aten
CUDA = torch.device('cuda', 0)
#: Operations that look at values to know the shape of their result.
_COUNTING = (
    'bincount',
    'equal',
    'is_all_true',
    'is_nonzero',
    'masked_select',
    'nms',
    'nonzero',
    'repeat_interleave',
    'unique_consecutive',
    'unique_dim',
    '_unique2',
)
#: Operations whose kernels take a number of the host.
_TAKES_NUMBERS = (
    'fill',
    'fill_',
    'index_fill',
    'index_fill_',
    'masked_fill',
    'masked_fill_',
)
#: Operations whose index operands may lie on the host.
_INDEXING = (
    'index',
    'index_put',
    'index_put_',
    '_index_put_impl_',
    '_unsafe_index',
    '_unsafe_index_put',
)
#: A note of one wait: what it was.
Note = Callable[[str], None]


class MixedDevices(RuntimeError):
    """An operation got tensors of the host and of the device."""


class OnCuda(Tensor):
    """Says ``cuda:0`` and computes on the CPU.

    Attributes:
        elem (Tensor): The values, on the CPU.
    """

    __torch_function__ = torch._C._disabled_torch_function_impl
    elem: Tensor

    @staticmethod
    def __new__(cls, elem: Tensor):
        result = torch.Tensor._make_wrapper_subclass(
            cls,
            elem.shape,
            strides=elem.stride(),
            storage_offset=elem.storage_offset(),
            dtype=elem.dtype,
            device=CUDA,
            requires_grad=False,
        )
        result.elem = elem
        return result

    @property
    def data(self):
        return OnCuda(self.elem.detach())

    @data.setter
    def data(self, value):
        self.elem = value.elem

    def tolist(self):
        return self.cpu().tolist()

    def numpy(self, *args, **kwargs):
        raise TypeError("can't convert cuda:0 device type tensor to numpy")

    __array__ = numpy

    def data_ptr(self):
        return self.elem.data_ptr()

    def __deepcopy__(self, memo):
        if id(self) in memo:
            return memo[id(self)]
        with torch.no_grad():
            result = self.detach().clone()
        if self.requires_grad:
            result.requires_grad_()
        if getattr(self, '_is_param', False):
            result._is_param = True
        memo[id(self)] = result
        return result

    def __reduce_ex__(self, protocol):
        # A file holds ordinary tensors, which are read onto a device.
        return self.elem.detach().__reduce_ex__(protocol)

    def __repr__(self, *args, **kwargs):
        return f'OnCuda({self.elem})'

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return run(func, args, kwargs or {}, lambda what: None)


def is_cuda(device: Any) -> bool:
    return device is not None and torch.device(device).type == 'cuda'


def _batch_norm(x, weight, bias, mean, var, training, momentum, eps):
    out, saved, inverse = aten.native_batch_norm(
        x, weight, bias, mean, var, training, momentum, eps
    )
    return out, saved, inverse, x.new_empty(0, dtype=torch.uint8)


def _batch_norm_backward(x, grad, weight, mean, var, saved, inverse, eps, reserve):
    return aten.native_batch_norm_backward(
        grad, x, weight, mean, var, saved, inverse, True, eps, [True, True, True]
    )


#: What CUDA has kernels of its own for.
_TRANSLATED = dict(
    cudnn_batch_norm=_batch_norm, cudnn_batch_norm_backward=_batch_norm_backward
)


def run(func, args: tuple, kwargs: dict, note: Note) -> Any:
    """What a GPU would do, on the CPU.

    Args:
        func: An operation of ATen.
        args (tuple): Its arguments.
        kwargs (dict): Likewise.
        note (Callable): Takes what the host waits for.

    Raises:
        MixedDevices: See there.
    """
    name = func._schema.name.split('::')[-1]
    leaves = tree_leaves((args, kwargs))
    ours = [x for x in leaves if isinstance(x, OnCuda)]
    host = [x for x in leaves if isinstance(x, Tensor) and not isinstance(x, OnCuda)]
    to_cuda = bool(ours)
    if name in ('_to_copy', 'copy_', '_copy_from'):
        to_cuda = _copies(name, args, kwargs, note)
    elif name in _INDEXING and ours:
        _indexes(func, name, args, note)
    elif ours and host:
        _check_numbers(func, name, host)
    elif kwargs.get('device') is not None:
        to_cuda = is_cuda(kwargs['device'])
    if ours and name == '_local_scalar_dense':
        note('item')
    elif ours and name in _COUNTING:
        note('counts values')
    elif ours and name.startswith(('_linalg_check_errors', '_assert_async')):
        note('looks for errors')
    if name in ('pin_memory', '_pin_memory'):
        return args[0]
    if name == 'is_pinned':
        return False
    inner_args, inner_kwargs = tree_map_only(OnCuda, lambda t: t.elem, (args, kwargs))
    if is_cuda(kwargs.get('device')):
        inner_kwargs['device'] = torch.device('cpu')
    inner_kwargs.pop('pin_memory', None)
    if name == 'record_stream':
        return None
    out = _TRANSLATED.get(name, func)(*inner_args, **inner_kwargs)
    if name == '_to_copy' and ours and out is inner_args[0]:
        out = out.clone()
    return _wrapped(func, args, kwargs, out, to_cuda)


def _copies(name: str, args: tuple, kwargs: dict, note: Note) -> bool:
    """Note a copy between host and device; whether it goes to the device."""
    if name == '_to_copy':
        source, target = args[0], kwargs.get('device')
        goes = isinstance(source, OnCuda) if target is None else is_cuda(target)
        waits = not kwargs.get('non_blocking', False)
    else:
        source, goes = args[1], isinstance(args[0], OnCuda)
        waits = not (args[2] if len(args) > 2 else kwargs.get('non_blocking', False))
    if isinstance(source, OnCuda) != goes and waits:
        shape = tuple(source.shape) if source.dim() < 2 else 'images'
        note(f'{"host to device" if goes else "device to host"} {shape}')
    return goes


def _indexes(func, name: str, args: tuple, note: Note) -> None:
    indices = [i for i in args[1] if i is not None]
    if any(i.dtype in (torch.bool, torch.uint8) for i in indices):
        values = args[2] if name != 'index' and len(args) > 2 else None
        if values is None or values.numel() != 1:
            note('boolean mask')
    if any(not isinstance(i, OnCuda) for i in indices):
        note('index from the host')
    if not isinstance(args[0], OnCuda):
        raise MixedDevices(f'{func} with an index on the device')


def _check_numbers(func, name: str, host: list[Tensor]) -> None:
    # As TensorIterator: numbers of the host may join.
    takes = (
        torch.Tag.pointwise in func.tags or '_foreach' in name or name in _TAKES_NUMBERS
    )
    if not takes or any(x.dim() > 0 for x in host):
        shapes = [tuple(x.shape) for x in host]
        raise MixedDevices(f'{func} with host tensors {shapes}')


def _wrapped(func, args: tuple, kwargs: dict, out: Any, to_cuda: bool) -> Any:
    """Outputs; an argument that was written to is itself returned."""
    schema = func._schema
    written = [
        args[i] if i < len(args) else kwargs.get(argument.name)
        for i, argument in enumerate(schema.arguments)
        if argument.alias_info is not None and argument.alias_info.is_write
    ]
    returns = [r.alias_info for r in schema.returns]
    if written and returns and all(r is not None and r.is_write for r in returns):
        return written[0] if len(written) == 1 else tuple(written)
    if written and len(returns) == 1 and returns[0] is not None:
        return written[0]
    if not to_cuda:
        return out
    return tree_map_only(
        Tensor, lambda t: t if isinstance(t, OnCuda) else OnCuda(t), out
    )
