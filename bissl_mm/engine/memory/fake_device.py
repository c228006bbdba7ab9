"""A device without memory: shapes are computed, values are not.

torch's fake tensors say that they lie on the CPU. So neither a GPU nor its driver
is needed, on any build of torch.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from .live_tensors import LiveTensors


@contextmanager
def fake_device(num_processes: int) -> Iterator[LiveTensors]:
    """Inside, tensors have no values, and their bytes are counted.

    Args:
        num_processes (int): Processes that the run would have. Collectives then
            exist, and change nothing.

    Yields:
        LiveTensors: The counter.
    """
    with ExitStack() as stack:
        enter = stack.enter_context
        # Random numbers have no values, and so no state.
        enter(mock.patch.object(torch.random, 'get_rng_state', lambda: None))
        enter(mock.patch.object(torch.random, 'set_rng_state', lambda state: None))
        # Torch's own way to copy reads the memory.
        enter(mock.patch.object(Tensor, '__deepcopy__', _deep_copy))
        for module in _with_compiled_operators():
            enter(mock.patch.object(module, 'ext_module', _NoKernels()))
        if num_processes > 1:
            enter(_fake_processes(num_processes))
        enter(FakeTensorMode(allow_non_fake_inputs=True))
        yield enter(_FakeTensors())


@contextmanager
def _fake_processes(number: int) -> Iterator[None]:
    from torch.testing._internal.distributed.fake_pg import FakeStore

    dist.init_process_group('fake', store=FakeStore(), rank=0, world_size=number)
    try:
        yield
    finally:
        dist.destroy_process_group()


def _with_compiled_operators() -> list[Any]:
    """The modules of mmcv that call compiled operators."""
    return [
        module
        for name, module in list(sys.modules.items())
        if name.startswith('mmcv.ops.') and hasattr(module, 'ext_module')
    ]


class _NoKernels:
    """In the place of mmcv's compiled operators, which know no fake tensors.

    They write to tensors that their callers made; only ``nms`` and its like
    return one. Here these keep all boxes, and the others write nothing.
    """

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if 'nms' in name:
            return lambda boxes, *args, **kwargs: torch.arange(len(boxes))
        return lambda *args, **kwargs: None


def move(model: nn.Module) -> None:
    """Replace the parameters and buffers of a model by tensors of the current
    device. Shared ones stay shared."""
    moved: dict[int, tuple[Tensor, Tensor]] = {}
    for module in model.modules():
        tables: tuple[Any, ...] = (module._parameters, module._buffers)
        for table in tables:
            for name, tensor in table.items():
                if tensor is None:
                    continue
                if id(tensor) not in moved:
                    new = torch.empty_like(tensor.detach())
                    if isinstance(tensor, nn.Parameter):
                        new = nn.Parameter(new, tensor.requires_grad)
                    # Kept, so that no other tensor gets its id.
                    moved[id(tensor)] = new, tensor
                table[name] = moved[id(tensor)][0]


def _deep_copy(tensor: Tensor, memo: dict) -> Tensor:
    if id(tensor) not in memo:
        copied = tensor.detach().clone()
        if isinstance(tensor, nn.Parameter):
            copied = nn.Parameter(copied, tensor.requires_grad)
        memo[id(tensor)] = copied
    return memo[id(tensor)]


class _FakeTensors(LiveTensors):
    """Counts fake tensors, and answers what depends on values.

    Numbers that are read are 1. Where a mask chooses, it chooses all.
    """

    def compute(self, func: Any, args: tuple, kwargs: dict) -> Any:
        space, _, name = func._schema.name.partition('::')
        if space == 'c10d':
            return _collective(name, args)
        answer = _ANSWERS.get(name)
        found = None if answer is None else answer(*args, **kwargs)
        return func(*args, **kwargs) if found is None else found


def _number(tensor: Tensor) -> float | int | bool:
    if tensor.dtype is torch.bool:
        return True
    return 1.0 if tensor.dtype.is_floating_point else 1


def _masked(tensor: Tensor, indices: list) -> Tensor | None:
    if not any(i is not None and i.dtype in _MASKS for i in indices):
        return None
    places: list[Tensor | None] = []
    for index in indices:
        if index is not None and index.dtype in _MASKS:
            # A mask stands for one index of each of its dimensions.
            place = torch.empty(index.numel(), dtype=torch.long)
            places += [place] * index.dim()
        else:
            places.append(index)
    return torch.ops.aten.index(tensor, places)


def _put(tensor: Tensor, indices: list, *args: Any, **kwargs: Any) -> Tensor | None:
    is_masked = any(i is not None and i.dtype in _MASKS for i in indices)
    return torch.empty_like(tensor) if is_masked else None


def _put_(tensor: Tensor, indices: list, *args: Any, **kwargs: Any) -> Tensor | None:
    is_masked = any(i is not None and i.dtype in _MASKS for i in indices)
    return tensor if is_masked else None


def _all_places(tensor: Tensor) -> Tensor:
    return tensor.new_empty((tensor.numel(), tensor.dim()), dtype=torch.long)


def _unique(tensor: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, ...]:
    number = tensor.new_empty(tensor.numel(), dtype=torch.long)
    return tensor.new_empty(tensor.numel()), number, number.clone()


_MASKS = (torch.bool, torch.uint8)
#: Operation -> its result; None leaves it to torch.
_ANSWERS: dict[str, Callable[..., Any]] = dict(
    _local_scalar_dense=_number,
    equal=lambda *args: True,
    is_nonzero=lambda *args: True,
    index=_masked,
    index_put=_put,
    index_put_=_put_,
    _index_put_impl_=_put_,
    nonzero=_all_places,
    masked_select=lambda tensor, mask: tensor.new_empty(mask.numel()),
    _unique2=_unique,
    unique_dim=_unique,
    unique_consecutive=_unique,
)


def _collective(name: str, args: tuple) -> Any:
    """What a collective returns. Its results lie where its arguments say."""
    if name in ('barrier', 'monitored_barrier_'):
        return _done()
    return args[0], _done()


def _done() -> Any:
    future: torch.futures.Future = torch.futures.Future()
    future.set_result([])
    bindings: Any = torch._C
    return bindings._distributed_c10d._create_work_from_future(future).boxed()
