"""The upper phase against one that does what the published algorithm does.

The baseline (``published_phase.py``) rebuilds the graph for every product and
takes separate backward passes; every variant does the same phase of upper
steps from the same weights on the same batches, in turn with it, step by
step. Reported are the median of the ratios of the phases' times, the largest
true relative residual over the phase's steps, the difference of the first
step's v_IJ from the baseline's, the products per step and the peak of memory::

    python benchmarks/upper_phase.py --model resnet18 --json upper_phase.json
"""

import argparse
import copy
import ctypes
import gc
import logging
import os
import platform
import statistics
import time
from collections import defaultdict

import torch
from digits_task import DAMPING, REG_WEIGHT, DigitsTask, wrapper_of
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope
from published_phase import PublishedPhase

from bissl_mm.analysis.json_file import write_json
from bissl_mm.hypergradient import (
    Hessian,
    RecyclingSolver,
    Sum,
    implicit_operator,
    relative_residual,
)
from bissl_mm.hypergradient.linalg.vectors import norm, subtract
from bissl_mm.models import pretext_closure
from bissl_mm.utils.allocator import keep_freed_memory

NUM_ITERS = 5
#: Name -> settings of BiSSLOptimWrapper. What RecyclingSolver stops at is in
#: part estimated, so it is asked for a fifth less than what is to be shown.
#: 'matched' is four fifths of the baseline's own residual.
VARIANTS = {
    'published': dict(solver=dict(type='LayerwiseCGSolver')),
    'cg': dict(solver=dict(type='CGSolver', max_iters=5)),
    'minres': dict(solver=dict(type='MinresSolver', tolerance=0.1)),
    'recycling': dict(solver=dict(type='RecyclingSolver', tolerance=0.08)),
    'recycling-matched': dict(solver=dict(type='RecyclingSolver', tolerance='matched')),
    'recycling-bf16': dict(
        solver=dict(type='RecyclingSolver', tolerance=0.08), dtype='bfloat16'
    ),
    'half-batch': dict(
        solver=dict(type='RecyclingSolver', tolerance=0.08), batch_size='half'
    ),
    'norms': dict(solver=dict(type='RecyclingSolver', tolerance=0.08), params='norm'),
}


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        '--model',
        nargs='+',
        default=['resnet18'],
        choices=['resnet18', 'resnet50', 'resnet101', 'vit-s'],
    )
    parser.add_argument(
        '--variant',
        nargs='+',
        choices=list(VARIANTS),
        default=['published', 'recycling', 'recycling-matched'],
    )
    parser.add_argument('--pixels', type=int, default=64)
    parser.add_argument(
        '--batch', type=int, default=32, help='pretext images of the Hessian'
    )
    parser.add_argument(
        '--downstream-batch',
        type=int,
        help='default: a quarter of the batch, as 256 of the paper to 1024',
    )
    parser.add_argument('--steps', type=int, default=8, help='upper steps of the phase')
    parser.add_argument('--repeats', type=int, default=3)
    parser.add_argument(
        '--train-steps',
        type=int,
        default=300,
        help='pretext steps before; 0 leaves the network at its initialisation',
    )
    parser.add_argument(
        '--lr',
        type=float,
        default=0.1,
        help='of them for a ResNet; the larger, the flatter the minimum they end in',
    )
    parser.add_argument(
        '--head-steps',
        type=int,
        default=60,
        help='steps of the classifier alone after them',
    )
    parser.add_argument('--device', default='cpu')
    parser.add_argument(
        '--double',
        action='store_true',
        help='in double precision: what variants differ by '
        'from the baseline without the rounding that an '
        'ill-conditioned system blows up',
    )
    parser.add_argument(
        '--quick',
        action='store_true',
        help='ResNet-18, few steps; the figures are rough',
    )
    parser.add_argument('--json')
    args = parser.parse_args()
    if args.quick:
        args.model, args.batch, args.steps = ['resnet18'], 8, 3
        args.repeats, args.train_steps, args.pixels = 1, 60, 32
        args.head_steps = 30
        args.variant = ['published', 'minres', 'recycling']
    if args.downstream_batch is None:
        args.downstream_batch = max(args.batch // 4, 2)
    return args


class Memory:
    """Peak of the resident (or the device's) memory."""

    def __init__(self, device: str) -> None:
        self.device = device

    def start(self) -> None:
        gc.collect()
        if platform.libc_ver()[0] == 'glibc':
            # What was freed before is nobody's peak.
            ctypes.CDLL(None).malloc_trim(0)
        if self.device != 'cpu':
            torch.cuda.reset_peak_memory_stats()
            return
        with open('/proc/self/clear_refs', 'w') as file:
            file.write('5')

    def peak(self) -> int:
        return (
            torch.cuda.max_memory_allocated()
            if self.device != 'cpu'
            else self._status('VmHWM')
        )

    @staticmethod
    def _status(key: str) -> int:
        with open('/proc/self/status') as file:
            for line in file:
                if line.startswith(key):
                    return int(line.split()[1]) * 1024
        raise OSError(f'/proc/self/status has no {key}')


class Side:
    """One who does the phase, with a model of their own.

    Attributes:
        seconds (float): Time of the phase so far.
        pairs (list): ``(v, v_IJ)`` of every step, if asked to keep them.
    """

    def __init__(self, task: DigitsTask, keep: bool = False) -> None:
        self.task = task
        self.model = copy.deepcopy(task.model)
        self.keep = keep
        self.pairs = []

    def begin(self) -> None:
        """All that a phase needs before its first step."""
        self.model.load_state_dict(self.task.state)
        self.seconds, self.pairs = 0.0, []
        self._timed(self._begin)

    def step(self, batch: dict) -> None:
        self._timed(lambda: self._step(batch))

    def end(self) -> None:
        """Not timed."""

    def _timed(self, work) -> None:
        begin = time.perf_counter()
        work()
        synchronize(self.task.args.device)
        self.seconds += time.perf_counter() - begin


class Baseline(Side):
    def _begin(self) -> None:
        optimizer = torch.optim.SGD(
            [p for p in self.model.downstream.parameters() if p.requires_grad],
            lr=1e-3,
            momentum=0.9,
        )
        self.phase = PublishedPhase(
            self.model,
            self.task.hessian_batch,
            optimizer,
            REG_WEIGHT,
            DAMPING,
            NUM_ITERS,
        )

    def _step(self, batch: dict) -> None:
        self.phase.step(batch)
        if self.keep:
            self.pairs += self.phase.solutions
        del self.phase.solutions[:]


class Variant(Side):
    """Keeps its optim wrapper from phase to phase, as a run does.

    Attributes:
        parts (dict): Seconds of the solves and of the graph.
        logs (list[dict]): What every step said.
        products (int): Of the phase.
    """

    def __init__(self, task: DigitsTask, settings: dict, keep: bool = False) -> None:
        super().__init__(task, keep)
        self.wrapper = wrapper_of(self.model, check_residual='never', **settings)
        system = self.wrapper.system
        solve = system.solve

        def timed_solve(v):
            synchronize(task.args.device)
            begin = time.perf_counter()
            solution = solve(v)
            synchronize(task.args.device)
            self.parts['solve'] += time.perf_counter() - begin
            if self.keep:
                self.pairs.append((v, solution.value))
            return solution

        system.solve = timed_solve

    def begin(self) -> None:
        self.parts, self.logs = defaultdict(float), []
        # The baseline's optimizer is a new one each time.
        self.wrapper['upper'].optimizer.state.clear()
        super().begin()
        self.parts['graph'] = self.seconds

    def _begin(self) -> None:
        self.wrapper.begin_upper_phase(self.model, [self.task.hessian_batch], seed=0)

    def _step(self, batch: dict) -> None:
        self.logs.append(self.wrapper.upper_step(self.model, batch, seed=0))

    def end(self) -> None:
        self.products = self.wrapper.system.curvature_operator.num_products
        self.wrapper.end_upper_phase()

    @property
    def shares(self) -> dict:
        parts = dict(self.parts)
        parts['first order'] = self.seconds - sum(parts.values())
        return {k: round(s / self.seconds, 3) for k, s in parts.items()}


def synchronize(device: str) -> None:
    if device != 'cpu':
        torch.cuda.synchronize()


def race(task: DigitsTask, sides: list) -> list:
    """One phase of each, step by step in turn; the seconds of each."""
    for side in sides:
        side.begin()
    for i, batch in enumerate(task.batches):
        for j in range(len(sides)):
            sides[(i + j) % len(sides)].step(batch)
    for side in sides:
        side.end()
    return [side.seconds for side in sides]


def alone(task: DigitsTask, side: Side) -> int:
    """A phase that keeps its pairs; the peak of memory."""
    memory = Memory(task.args.device)
    memory.start()
    race(task, [side])
    return memory.peak()


def full_operator(task: DigitsTask) -> Sum:
    task.model.load_state_dict(task.state)
    return implicit_operator(
        Hessian(
            [pretext_closure(task.model.pretext, task.hessian_batch, 0)],
            task.model.lower_backbone(),
        ),
        REG_WEIGHT,
        DAMPING,
    )


def worst_residual(task: DigitsTask, pairs: list) -> float:
    """Largest true relative residual, whatever made the solutions."""
    operator = full_operator(task)
    return max(relative_residual(operator, x, v) for v, x in pairs)


def separate_products(task: DigitsTask, pairs: list, solver: dict) -> float:
    """Products a step where every step begins without a basis."""
    operator = full_operator(task)
    settings = {k: v for k, v in solver.items() if k != 'type'}
    for v, _ in pairs:
        RecyclingSolver(**settings).solve(operator, v)
    return operator.second.operator.num_products / len(pairs)


def settings_of(
    variant: str, args: argparse.Namespace, baseline_residual: float
) -> dict:
    settings = copy.deepcopy(VARIANTS[variant])
    if settings['solver'].get('tolerance') == 'matched':
        settings['solver']['tolerance'] = min(0.8 * baseline_residual, 0.5)
    if settings.get('batch_size') == 'half':
        settings['batch_size'] = args.batch // 2
    return settings


def check(task: DigitsTask, settings: dict, base_memory: int, reference: tuple) -> dict:
    """What is not timed of a variant, from a phase with fresh memory."""
    side = Variant(task, settings, keep=True)
    memory = alone(task, side)
    pairs, logs = side.pairs, side.logs
    found = dict(
        true_residual=worst_residual(task, pairs),
        rel_diff=(norm(subtract(pairs[0][1], reference)) / norm(reference)).item(),
        cosine=min(log['cosine'] for log in logs),
        min_curvature=min(log['min_curvature'] for log in logs),
        products_per_step=side.products / len(logs),
        peak_memory_ratio=memory / base_memory,
        settings=settings,
    )
    if settings['solver']['type'] == 'RecyclingSolver' and len(settings) == 1:
        found['separate_products_per_step'] = separate_products(
            task, pairs, settings['solver']
        )
    return found


def measure(name: str, args: argparse.Namespace) -> list:
    task = DigitsTask(name, args)
    baseline = Baseline(task, keep=True)
    base_memory = alone(task, baseline)
    baseline_residual = worst_residual(task, baseline.pairs)
    reference = baseline.pairs[0][1]
    checked = {}
    del baseline
    for variant in args.variant:
        checked[variant] = check(
            task, settings_of(variant, args, baseline_residual), base_memory, reference
        )
    sides = [Baseline(task)] + [
        Variant(task, checked[variant]['settings']) for variant in args.variant
    ]
    times = [race(task, sides) for _ in range(args.repeats)]
    print(
        f'{name}: baseline {times[-1][0]:.1f} s per phase of {args.steps} '
        f'steps, residual {baseline_residual:.3g}, {NUM_ITERS} products a '
        'step'
    )
    records = []
    for i, (variant, found) in enumerate(checked.items(), 1):
        ratios = [seconds[0] / seconds[i] for seconds in times]
        record = dict(
            model=name,
            variant=variant,
            speedup=statistics.median(ratios),
            speedups=ratios,
            baseline_residual=baseline_residual,
            **found,
            shares=sides[i].shares,
        )
        records.append(record)
        separate = record.get('separate_products_per_step')
        without = '' if separate is None else f' ({separate:.2f} without a basis)'
        print(
            f'{variant:>18}: {record["speedup"]:5.2f} times as fast '
            f'({min(ratios):.2f} to {max(ratios):.2f}), residual '
            f'{record["true_residual"]:.3g}, '
            f'{record["products_per_step"]:.2f} products per step{without}, '
            f'v_IJ {record["rel_diff"]:.2g} off, memory '
            f'{record["peak_memory_ratio"]:.2f}, {record["shares"]}',
            flush=True,
        )
    return records


def main() -> None:
    args = parse_args()
    MMLogger.get_instance('mmengine').setLevel(logging.ERROR)
    keep_freed_memory()
    init_default_scope('mmpretrain')
    records = []
    for name in args.model:
        records += measure(name, args)
        if args.json:
            write_json(
                args.json,
                dict(
                    records=records,
                    arguments=vars(args),
                    threads=torch.get_num_threads(),
                    cores=os.cpu_count(),
                    machine=platform.processor() or platform.machine(),
                    torch=torch.__version__,
                ),
            )


if __name__ == '__main__':
    main()
