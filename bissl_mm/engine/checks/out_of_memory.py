"""Says in which phase memory ran out, and which settings need less."""

import functools
import math
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.dist import get_world_size
from mmengine.runner import Runner

from ...config import is_type
from ...hypergradient.solvers.recycling import FEW_KEPT, KEPT
from ...utils.errors import Refusal, RuntimeRefusal

#: Curvatures whose products derive a gradient again. Its graph may be kept or not.
WITH_GRAPH = ('hessian', 'gauss_newton')
_STEPS = (
    'optim_wrapper.hypergradient.unrolled_steps={steps_half} (the derivative of fewer '
    'steps)'
)
_PARTS = dict(
    lower='optim_wrapper.num_micro_batches.lower={lower_parts} (the same gradient only '
    'if no layer and no loss compares images, as with MAE)',
    upper='optim_wrapper.num_micro_batches.upper={upper_parts} (the same gradient only '
    'without batch norm)',
)
#: The settings that each phase needs memory for.
_LOWER = (
    'train_cfg.pretext_dataloader.batch_size={lower_half}',
    _PARTS['lower'],
    "optim_wrapper.first_order_dtype='bfloat16'",
    _STEPS,
)
_UPPER = ('train_dataloader.batch_size={upper_half}', _PARTS['upper'])
_GRAPH = 'optim_wrapper.hypergradient.keep_graph=False (the same values, slower)'
_BASIS = (
    f'optim_wrapper.hypergradient.solver.max_basis={FEW_KEPT} (less where a '
    f'phase makes more than {FEW_KEPT} products, of which it may then make more)'
)
_HESSIAN = 'optim_wrapper.hypergradient.batch_size={hessian_half} (a noisier Hessian)'
#: Of unrolled steps, which have no other batches.
_BATCHES = (
    'train_cfg.pretext_dataloader.batch_size={lower_half} (the batches of the unrolled '
    'steps)'
)
_TRAIN = ('train_dataloader.batch_size={upper_half}',)
#: Phase -> its name in the message, and settings that need less.
PHASES: dict[str, tuple[str, tuple[str, ...]]] = {
    'head_warmup': ('a step of the head warm-up', _UPPER),
    'lower': ('a lower step', _LOWER),
    'begin': ('the begin of an upper phase', (_GRAPH, _STEPS, _BATCHES, _HESSIAN)),
    'gradients': ('the gradients of an upper step', (_GRAPH, _STEPS, _BASIS, *_UPPER)),
    'product': (
        'a product of the Hessian in an upper step',
        (_GRAPH, _STEPS, _BATCHES, _BASIS, _HESSIAN),
    ),
    'training': ('training', _TRAIN),
    'validation': ('validation', ('val_dataloader.batch_size={val_half}',)),
    'test': ('the test', ('test_dataloader.batch_size={test_half}',)),
}
#: Step of both levels' optimizers -> its phase.
PHASE_OF_STEP = dict(
    lower_step='lower', upper_step='gradients', head_warmup_step='head_warmup'
)
_TEXT = re.compile(
    r'out of memory|allocate memory|unable to allocate|ALLOC_FAILED', re.IGNORECASE
)
_PHASE = 'bissl_phase'


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, on a GPU or on the host."""
    if isinstance(error, Refusal):
        return False
    if isinstance(error, (MemoryError, torch.cuda.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and bool(_TEXT.search(str(error)))


@contextmanager
def memory_phase(name: str) -> Iterator[None]:
    """Inside, an error of memory is marked with a phase of ``PHASES``, unless an
    inner one has marked it."""
    try:
        yield
    except Exception as error:
        if is_out_of_memory(error) and not hasattr(error, _PHASE):
            setattr(error, _PHASE, name)
        raise


def in_memory_phase(name: str) -> Callable:
    """Decorator of a method that is a phase, see :func:`memory_phase`."""

    def decorate(method: Callable) -> Callable:
        @functools.wraps(method)
        def marked(*args: Any, **kwargs: Any) -> Any:
            with memory_phase(name):
                return method(*args, **kwargs)

        return marked

    return decorate


def explains_memory(method: Callable) -> Callable:
    """Decorator of a method of a runner, or of a loop with a ``runner``. An error
    of memory becomes a ``RuntimeRefusal`` that says what to set."""

    @functools.wraps(method)
    def explained(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return method(self, *args, **kwargs)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            text = _message(getattr(self, 'runner', self), error)
            raise RuntimeRefusal(text) from error

    return explained


def _message(runner: Runner, error: Exception) -> str:
    cfg, world_size = runner.cfg, get_world_size()
    phase, settings = PHASES[getattr(error, _PHASE, 'training')]
    optim_wrapper = cfg.get('optim_wrapper') or {}
    hypergradient = optim_wrapper.get('hypergradient') or {}
    parts = dict(optim_wrapper.get('num_micro_batches') or {})
    without_effect = _without_effect(hypergradient, parts)
    sizes = {
        name: _size(cfg, *key.split('.'), world_size=world_size)
        for name, key in dict(
            lower='train_cfg.pretext_dataloader',
            upper='train_dataloader',
            val='val_dataloader',
            test='test_dataloader',
        ).items()
    }
    sizes['hessian'] = hypergradient.get('batch_size') or sizes['lower']
    sizes['steps'] = hypergradient.get('unrolled_steps', 0)
    # Batches are whole parts, and the Hessian's may be the pretext task's.
    whole = {**parts, 'lower': math.lcm(parts.get('lower', 1), parts.get('hessian', 1))}
    numbers = {f'{k}_half': _half(v, whole.get(k, 1)) for k, v in sizes.items()}
    for level, setting in _PARTS.items():
        more = _more_parts(sizes[level], parts.get(level, 1))
        numbers[f'{level}_parts'] = more
        if not more:
            without_effect.add(setting)
    # A batch of one image for each part cannot be smaller.
    least = [f'{{{k}_half}}' for k, v in sizes.items() if numbers[f'{k}_half'] >= v]
    settings = tuple(
        s
        for s in settings
        if s not in without_effect and not any(key in s for key in least)
    )
    counts = [f'{sizes["lower"]} pretext'] * ('pretext_dataloader' in cfg.train_cfg)
    counts.append(f'{sizes["upper"]} downstream' if counts else f'{sizes["upper"]}')
    first_line = (str(error).strip() or type(error).__name__).splitlines()[0]
    return (
        f'Memory ran out in {phase}, with {" and ".join(counts)} images on each of '
        f'{world_size} process(es): {first_line.rstrip(".")}. Needs less: '
        + '--cfg-options ' * bool(settings)
        + ''.join(f'{setting}, or ' for setting in settings).format(**numbers)
        + 'more processes. To see what fits: '
        + _command(cfg, world_size)
    )


def _half(size: int, parts: int) -> int:
    """About half of a batch, divisible by its number of parts."""
    return max(size // 2 // parts, 1) * parts


def _more_parts(size: int, parts: int) -> int:
    """At least twice as many equal parts of a batch; 0 if it has not so many."""
    return next((n for n in range(2 * parts, size + 1) if size % n == 0), 0)


def _without_effect(hypergradient: Any, parts: dict[str, int]) -> set[str]:
    """The settings that need no less memory in this config, or are refused."""
    unrolled = hypergradient.get('unrolled_steps', 0)
    # An unrolled step is differentiated as a whole.
    found = {_HESSIAN, _BASIS} if unrolled else {_BATCHES}
    if unrolled < 2:
        found.add(_STEPS)
    is_whole = parts.get('hessian', 1) == 1 or unrolled
    kept = hypergradient.get('keep_graph', True) and is_whole
    if not kept or hypergradient.get('curvature', 'hessian') not in WITH_GRAPH:
        found.add(_GRAPH)
    solver = hypergradient.get('solver') or {}
    keeps_many = is_type(solver, 'RecyclingSolver') and (
        solver.get('max_basis', KEPT) > FEW_KEPT
    )
    if not keeps_many:
        found.add(_BASIS)
    return found


def _size(cfg: Any, *keys: str, world_size: int) -> int:
    """Samples of a dataloader's batch on one process; 1 if it is not said."""
    for key in keys:
        cfg = (cfg or {}).get(key)
    cfg = cfg or {}
    if 'batch_size' in cfg:
        return cfg['batch_size']
    return cfg.get('total_batch_size', world_size) // world_size


def _command(cfg: Any, world_size: int) -> str:
    parts = ['python tools/train.py', getattr(cfg, 'filename', None) or 'CONFIG']
    if cfg.get('task'):
        parts.append(f'--task {cfg["task"]}')
    parts.append(f'--dry-run memory --num-gpus {world_size}')
    if torch.cuda.is_available():
        total = torch.cuda.get_device_properties(torch.cuda.current_device())
        parts.append(f'--memory {total.total_memory / 2**30:.0f}GiB')
    return ' '.join(parts)
