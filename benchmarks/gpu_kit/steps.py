"""Steps of a shipped config: time, peak of memory, waits of the host."""

import argparse
import statistics
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import torch
from phase_sides import Memory, synchronize

from bissl_mm.hypergradient import Curvature

from .stage import MIB, PRETEXT, Stage, free

Say = Callable[[dict], None]
ROOT = Path(__file__).resolve().parents[2]
#: Files whose lines ask for nothing themselves.
_SKIPPED = ('/torch/', '/gpu_kit/')
_NOBODY = ('contextlib.py', 'warnings.py')
PUBLISHED = dict(type='LayerwiseCGSolver', max_iters=5)
RECYCLING = dict(type='RecyclingSolver', tolerance=0.1)


def networks(args: argparse.Namespace) -> tuple[str, ...]:
    return ('resnet18',) if args.quick else ('resnet50', 'vit-s', 'resnet18')


def seconds_of(work: Callable[[], None], device: str, repeats: int) -> float:
    """The median."""
    times = []
    for _ in range(repeats):
        synchronize(device)
        begin = time.perf_counter()
        work()
        synchronize(device)
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def host_seconds(work: Callable[[], None], device: str, repeats: int) -> float:
    """For how long the host is busy; near :func:`seconds_of`, the device waits for
    it."""
    times = []
    for _ in range(repeats):
        synchronize(device)
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    synchronize(device)
    return statistics.median(times)


def peak_of(work: Callable[[], None], device: str) -> float:
    """MiB of live tensors at most; on a CPU of the process."""
    meter = Memory(device)
    meter.start()
    work()
    return meter.peak() / MIB


def held(device: str) -> float | None:
    """MiB of live tensors."""
    if device == 'cpu':
        return None
    synchronize(device)
    return torch.cuda.memory_allocated() / MIB


def memory(args: argparse.Namespace, say: Say) -> None:
    """Peak by phase, as ``tools/train.py --dry-run memory`` has it."""
    for name in networks(args):
        say(memory_of(name, args, PRETEXT, solver=PUBLISHED))
        free(args.device)
    if not args.quick:
        say(memory_of('resnet50', args, PRETEXT, solver=RECYCLING))


def batches(args: argparse.Namespace, say: Say) -> None:
    """As large a share of the paper's batch as fits one card."""
    name = networks(args)[0]
    for pretext in (256,) if args.quick else (256, 512, 1024):
        say(memory_of(name, args, pretext, 1, solver=PUBLISHED))
        free(args.device)
    say(memory_of(name, args, pretext, 1, solver=PUBLISHED, keep_graph=False))


def memory_of(
    name: str, args: argparse.Namespace, pretext: int, repeats: int = 5, **settings
) -> dict:
    """The peak in every phase, and the time of each after its first time.

    Out of memory, it says in which phase, and what came before.
    """
    mode = '' if settings.get('keep_graph', True) else ', graph rebuilt'
    solver = settings['solver']['type']
    stage = Stage(name, args, pretext, pretext // 4, **settings)
    images = ' + '.join(map(str, stage.sizes))
    found = dict(
        row=f'{name}, {images} images, {solver}{mode}',
        unit='MiB of tensors' if stage.is_gpu else 'MiB of the process',
    )
    try:
        _fill_in_peaks(found, stage, 1 if args.quick else repeats)
    except Exception as error:
        if 'out of memory' not in str(error).lower():
            raise
        found['out_of_memory'] = str(error).split('\n')[0][:300]
    return found


def _fill_in_peaks(found: dict, stage: Stage, repeats: int) -> None:
    device = stage.device
    seconds = found['seconds'] = {}
    stage.lower_step()
    # Known even where an upper phase does not fit.
    found['lower'] = peak_of(stage.lower_step, device)
    stage.begin()
    stage.upper_step()
    stage.end()
    # Both optimizers have their state.
    found['at_rest'] = held(device)
    found['lower'] = peak_of(stage.lower_step, device)
    seconds['lower_step'] = seconds_of(stage.lower_step, device, repeats)
    found['begin'] = peak_of(stage.begin, device)
    with inner_peaks(stage, found):
        stage.upper_step()
    after = held(device)
    if after is not None:
        found['graph'] = after - found['at_rest']
    found['upper_step'] = peak_of(stage.upper_step, device)
    seconds['product'] = seconds_of(stage.product, device, repeats)
    seconds['product_host'] = host_seconds(stage.product, device, repeats)
    seconds['upper_step'] = seconds_of(stage.upper_step, device, repeats)
    stage.end()
    if stage.is_gpu:
        found['reserved'] = torch.cuda.max_memory_reserved() / MIB


@contextmanager
def inner_peaks(stage: Stage, found: dict) -> Iterator[None]:
    """Inside, an upper step notes the peaks of its gradients and products."""

    def noted(name: str, work: Callable) -> Callable:
        def meter(*args, **kwargs):
            result = []
            peak = peak_of(lambda: result.append(work(*args, **kwargs)), stage.device)
            found[name] = max(found.get(name, 0.0), peak)
            return result.pop()

        return meter

    first_order = stage.wrapper.first_order
    gradients = noted('gradients', first_order.upper_gradient)
    product = noted('product', Curvature.__call__)
    with (
        mock.patch.object(first_order, 'upper_gradient', gradients),
        mock.patch.object(Curvature, '__call__', product),
    ):
        yield


@contextmanager
def counted_waits(device: str) -> Iterator[Counter]:
    """How often the host waits, by the package's line that asks for it."""
    counts: Counter = Counter()

    def note(message, category, filename, lineno, file=None, line=None) -> None:
        if 'synchronizing CUDA' in str(message):
            counts[_place(filename, lineno)] += 1

    with warnings.catch_warnings():
        warnings.simplefilter('always')
        warnings.showwarning = note
        torch.cuda.set_sync_debug_mode('warn')
        try:
            yield counts
        finally:
            torch.cuda.set_sync_debug_mode('default')


def _place(filename: str, lineno: int) -> str:
    """The innermost line that is not torch's, and the package's that led there."""
    rows = []
    for frame in reversed(traceback.extract_stack()):
        name = frame.filename
        if name.endswith(_NOBODY) or any(part in name for part in _SKIPPED):
            continue
        for root in ('site-packages/', '/site/', f'{ROOT}/'):
            name = name.split(root)[-1]
        rows.append(f'{name}:{frame.lineno}')
        if name.startswith('bissl_mm/'):
            break
    if not rows:
        return f'{filename}:{lineno}'
    return ' < '.join(dict.fromkeys((rows[0], rows[-1])))


def waits(args: argparse.Namespace, say: Say) -> None:
    """Waits of the host in a lower step, at the begin of an upper phase and in its
    steps."""
    for name in networks(args)[:2]:
        stage = Stage(name, args)
        for solver in (PUBLISHED, RECYCLING):
            stage.wrapper = stage.make_wrapper(solver=solver)
            for row in waits_of(stage, args):
                row['row'] = f'{name}, {solver["type"]}: {row["row"]}'
                say(row)
        del stage
        free(args.device)


def waits_of(stage: Stage, args: argparse.Namespace) -> Iterator[dict]:
    stage.lower_step()
    works = dict(
        lower_step=stage.lower_step,
        begin=stage.begin,
        upper_step=stage.upper_step,
        second_upper_step=stage.upper_step,
    )
    for name, work in works.items():
        row: dict = dict(row=name)
        if stage.is_gpu:
            with counted_waits(args.device) as counts:
                work()
            row |= dict(
                waits=counts.total(),
                own=sum(n for k, n in counts.items() if k.startswith('bissl_mm')),
                places=dict(counts.most_common(12)),
            )
        else:
            work()
            row['note'] = 'waits exist on a GPU only'
        yield row
    stage.end()
