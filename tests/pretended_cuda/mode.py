"""The mode in which a machine has a GPU."""

import sys
from collections import Counter
from contextlib import ExitStack
from unittest import mock

import torch
import torch.optim.optimizer as optimizer
import torch.utils._foreach_utils as foreach_utils
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from . import collectives
from .tensor import MixedDevices, OnCuda, run

#: Attribute of ``torch.cuda`` -> what it is inside.
_PATCHES = dict(
    _lazy_init=lambda: None,
    is_available=lambda: True,
    device_count=lambda: 1,
    current_device=lambda: 0,
    is_initialized=lambda: True,
    set_device=lambda device: None,
    # Random numbers of the device are those of the processor.
    get_rng_state=lambda device='cuda': torch.random.get_rng_state(),
    set_rng_state=lambda state, device='cuda': torch.random.set_rng_state(state),
    manual_seed=lambda seed: None,
    manual_seed_all=lambda seed: None,
    empty_cache=lambda: None,
    max_memory_allocated=lambda device=None: 0,
    memory_allocated=lambda device=None: 0,
    reset_peak_memory_stats=lambda device=None: None,
    is_bf16_supported=lambda *args: True,
    is_current_stream_capturing=lambda: False,
    get_device_name=lambda *args: 'pretended',
)


class _Device:
    """In the place of ``torch.cuda.device``."""

    def __init__(self, device) -> None:
        pass

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        return False


def place() -> str:
    """The innermost line that is neither torch's nor of this package.

    A function that torch calls for each operation is not the one that asks.
    """
    frame = sys._getframe(1)
    while frame is not None:
        code = frame.f_code
        name = code.co_filename
        if (
            '/torch/' not in name
            and '/pretended_cuda/' not in name
            and code.co_name != '__torch_function__'
            and not name.endswith(('contextlib.py', 'mock.py'))
        ):
            for root in ('site-packages/', 'tests/'):
                name = name.split(root)[-1]
            if '/bissl_mm/' in name:
                name = 'bissl_mm/' + name.split('/bissl_mm/')[-1]
            return f'{name}:{frame.f_lineno}'
        frame = frame.f_back
    return 'unknown'


class PretendedCuda(TorchDispatchMode):
    """See the package. :func:`library.install` has to be called before.

    Attributes:
        waits (list): Each wait of the host: what it was, and its place.
        collectives (Counter): Collectives by name and place.
        without_kernel (set): Operations that have no CUDA kernel.
        types (set): Types of the tensors that were on the device.
    """

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[tuple[str, str]] = []
        self.collectives: Counter = Counter()
        self.without_kernel: set[str] = set()
        self.types: set[torch.dtype] = set()
        self._seen: set[str] = set()
        self._stack = ExitStack()

    def _note(self, what: str) -> None:
        self.waits.append((what, place()))

    def _look(self, func, tensors: list[OnCuda]) -> None:
        name = func.name()
        self.types.add(tensors[0].dtype)
        if name not in self._seen:
            self._seen.add(name)
            has = torch._C._dispatch_has_computed_kernel_for_dispatch_key
            if not has(name, 'CUDA'):
                self.without_kernel.add(name)

    def _communicate(self, func, args: tuple, tensors: list[Tensor]):
        name = func._schema.name.split('::')[-1]
        if any(not isinstance(t, OnCuda) for t in tensors):
            raise MixedDevices(f'{name} of host tensors under nccl: {place()}')
        if any(not t.is_contiguous() for t in tensors):
            raise MixedDevices(f'{name} of a tensor that is not contiguous: {place()}')
        self.collectives[name, place()] += 1
        return collectives.run(name, args)

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        tensors = [t for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor)]
        ours = [t for t in tensors if isinstance(t, OnCuda)]
        if ours:
            self._look(func, ours)
        if 'c10d' in func._schema.name:
            return self._communicate(func, args, tensors)
        return run(func, args, kwargs, self._note)

    def __enter__(self):
        enter = self._stack.enter_context
        for name, value in _PATCHES.items():
            enter(mock.patch.object(torch.cuda, name, value))
        enter(
            mock.patch.object(
                torch.cuda, 'synchronize', lambda device=None: self._note('synchronize')
            )
        )
        enter(mock.patch.object(torch.cuda, 'device', _Device))
        kinds = [*optimizer._foreach_supported_types, OnCuda]
        enter(mock.patch.object(optimizer, '_foreach_supported_types', kinds))
        enter(
            mock.patch.object(
                foreach_utils, '_foreach_supported_types', kinds, create=True
            )
        )
        # Parameters stay the same objects, as on a GPU.
        swaps = torch.__future__.set_swap_module_params_on_conversion
        swaps(True)
        self._stack.callback(swaps, False)
        enter(torch.autograd.set_multithreading_enabled(False))
        torch._C._set_only_lift_cpu_tensors(True)
        self._stack.callback(torch._C._set_only_lift_cpu_tensors, False)
        return super().__enter__()

    def __exit__(self, *exc):
        super().__exit__(*exc)
        self._stack.close()
