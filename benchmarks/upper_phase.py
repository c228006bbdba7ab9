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
import logging
import math
import statistics

from digits_task import DAMPING, REG_WEIGHT, DigitsTask
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope
from phase_sides import NUM_ITERS, Baseline, Memory, Side, Variant, record_of_run
from phase_variants import VARIANTS

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
    parser.add_argument(
        '--repeats', type=int, default=3, help='0 counts products and times nothing'
    )
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
    # Without a race: none is faster than another.
    times = times or [[math.nan] * len(sides)]
    print(
        f'{name}: baseline {times[-1][0]:.1f} s per phase of {args.steps} '
        f'steps, residual {baseline_residual:.3g}, {NUM_ITERS} products a '
        'step',
        flush=True,
    )
    records = []
    for i, (variant, found) in enumerate(checked.items(), 1):
        ratios = [seconds[0] / seconds[i] for seconds in times]
        record = dict(
            model=name,
            variant=variant,
            speedup=statistics.median(ratios),
            speedups=ratios,
            seconds=statistics.median(seconds[i] for seconds in times),
            baseline_residual=baseline_residual,
            **found,
            shares=sides[i].shares if args.repeats else {},
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
    init_default_scope('mmpretrain')
    records = []
    for name in args.model:
        records += measure(name, args)
        if args.json:
            write_json(args.json, record_of_run(records, args))


if __name__ == '__main__':
    main()
