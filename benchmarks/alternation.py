"""A whole alternation against the published scheme, and against first order.

The paper's structure (20 lower and 8 upper steps) is done by

- ``published``: Algorithms 1 and 2 as written, see ``published_phase.py``,
- ``first-order``: as many steps with one plain gradient each,
- this package with some settings of the hypergradient (``VARIANTS``), among
  them a thrifty structure of 5 lower and 4 upper steps,

all from the same weights on the same batches, in turn. Every side first does an
alternation alone, which gives its peak of memory, its products and its true
relative residuals (double backward decides, whatever made the products). Then
come the timed repeats. The median of the ratios of their times is reported::

    python benchmarks/alternation.py --model resnet50 --json alternation.json
"""

import argparse
import copy
import gc
import logging
from collections.abc import Sequence

import torch
from alternation_record import THRIFTY, record_of, report
from alternation_sides import PAPER, FirstOrder, Package, Published, Side
from digits_task import DAMPING, REG_WEIGHT, DigitsTask, Pictures
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope
from phase_sides import NUM_ITERS, record_of_run

from bissl_mm.analysis.json_file import write_json
from bissl_mm.hypergradient import Hessian, implicit_operator, relative_residual
from bissl_mm.models import pretext_closure

#: RecyclingSolver's estimate is asked for a fifth less than is to be shown.
_TENTH = dict(type='RecyclingSolver', tolerance=0.08)
#: Four fifths of the published scheme's own residual.
_MATCHED = dict(type='RecyclingSolver', tolerance='matched')
_PUBLISHED = dict(type='LayerwiseCGSolver', max_iters=NUM_ITERS)
#: Name -> settings of the hypergradient, and the structure.
VARIANTS = {
    'same-products': (dict(solver=_PUBLISHED), PAPER),
    'matched': (dict(solver=_MATCHED), PAPER),
    'tenth': (dict(solver=_TENTH), PAPER),
    'thrifty': (dict(solver=_TENTH), THRIFTY),
}
VARIANTS |= {
    f'differences-{name}': (settings | dict(curvature='differences'), structure)
    for name, (settings, structure) in VARIANTS.items()
}
MODELS = ('resnet18', 'resnet50', 'vit-s')


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--model', nargs='+', default=['resnet18'], choices=MODELS)
    parser.add_argument(
        '--variant',
        nargs='+',
        choices=list(VARIANTS),
        help='default: double backward, and for vit-s differences as well',
    )
    parser.add_argument('--pixels', type=int, default=64)
    parser.add_argument('--batch', type=int, default=32, help='pretext images')
    parser.add_argument(
        '--downstream-batch', type=int, help='default: a quarter of the batch'
    )
    parser.add_argument('--lower-steps', type=int, default=PAPER[0])
    parser.add_argument('--upper-steps', type=int, default=PAPER[1])
    parser.add_argument('--repeats', type=int, default=2)
    parser.add_argument(
        '--train-steps', type=int, default=300, help='pretext steps before'
    )
    parser.add_argument(
        '--lr', type=float, default=0.1, help='of them, for a ResNet; MAE has 1e-4'
    )
    parser.add_argument(
        '--head-steps', type=int, default=60, help='of the classifier alone after them'
    )
    parser.add_argument(
        '--check-residual',
        default='random',
        choices=['random', 'never'],
        help='of the package: a run spends one product of a phase on a check',
    )
    parser.add_argument('--device', default='cpu')
    parser.add_argument(
        '--tf32', action='store_true', help='let convolutions and matrices use it'
    )
    parser.add_argument('--double', action='store_true', help='in double precision')
    parser.add_argument(
        '--quick', action='store_true', help='small and short; the figures are rough'
    )
    parser.add_argument('--json')
    args = parser.parse_args(argv)
    if args.quick:
        args.batch, args.pixels, args.repeats = 8, 32, 1
        args.lower_steps, args.upper_steps = 6, 3
        args.train_steps, args.head_steps = 30, 10
    if args.downstream_batch is None:
        args.downstream_batch = max(args.batch // 4, 2)
    # DigitsTask draws none of its own.
    args.steps = 0
    return args


class Batches:
    """The batches of an alternation, drawn anew when they are needed, so that
    they are not part of a side's memory."""

    def __init__(self, task: DigitsTask) -> None:
        self.task = task
        dtype = torch.float64 if task.args.double else torch.float32
        self.pictures = Pictures(task.args.pixels, task.args.device, dtype)

    def lower(self, i: int) -> dict:
        self.pictures.generator.manual_seed(1000 + i)
        return self.task._pretext_batch(self.pictures)

    def upper(self, i: int) -> dict:
        self.pictures.generator.manual_seed(2000 + i)
        return self.task._downstream_batch(self.pictures)


def race(batches: Batches, sides: list[Side], turn: int) -> None:
    """One alternation of each.

    Lower steps are taken in turn. So are upper steps on a CPU. Elsewhere one
    side's phase follows the other's, because the kept graphs of all of them
    need more memory than a card has.
    """
    order = sides[turn % len(sides) :] + sides[: turn % len(sides)]
    for side in order:
        side.begin()
    for i in range(max(side.num_lower for side in order)):
        batch = batches.lower(i)
        for side in _turned(order, i):
            if i < side.num_lower:
                side.lower_step(batch, i)
    together = batches.task.args.device == 'cpu'
    for group in [order] if together else [[side] for side in order]:
        for side in group:
            side.begin_upper()
        for i in range(max(side.num_upper for side in group)):
            batch = batches.upper(i)
            for side in _turned(group, i):
                if i < side.num_upper:
                    side.upper_step(batch)
        for side in group:
            side.end()


def _turned(sides: list[Side], i: int) -> list[Side]:
    return sides[i % len(sides) :] + sides[: i % len(sides)]


def look_at(task: DigitsTask, batches: Batches, side: Side) -> dict:
    """What is not timed: an alternation alone."""
    gc.collect()
    race(batches, [side], 0)
    found = dict(
        peak_bytes=dict(side.peaks), structure=(side.num_lower, side.num_upper)
    )
    if not side.kept.number:
        return found
    operator = implicit_operator(
        Hessian(
            [pretext_closure(side.model.pretext, task.hessian_batch, 0)],
            side.model.lower_backbone(),
        ),
        REG_WEIGHT,
        DAMPING,
    )
    residuals = [relative_residual(operator, x, v) for v, x in side.kept]
    return found | dict(
        true_residual=max(residuals),
        products_per_step=side.products / side.num_upper,
        kept=side.kept,
    )


def settings_of(variant: str, args: argparse.Namespace, residual: float) -> tuple:
    settings, structure = copy.deepcopy(VARIANTS[variant])
    solver = settings['solver']
    if solver.get('tolerance') == 'matched':
        # Neither are smaller ones of use in single precision.
        solver['tolerance'] = max(min(0.8 * residual, 0.5), 1e-5)
    settings['check_residual'] = args.check_residual
    given = (args.lower_steps, args.upper_steps)
    if structure == PAPER:
        return settings, given
    return settings, tuple(min(a, b) for a, b in zip(structure, given))


def variants_of(model: str, args: argparse.Namespace) -> list[str]:
    if args.variant is not None:
        return args.variant
    return [v for v in VARIANTS if 'differences' not in v or model == 'vit-s']


def measure(model: str, args: argparse.Namespace) -> list[dict]:
    """The records of a network, one for each side."""
    task = DigitsTask(model, args)
    batches = Batches(task)
    plans: dict = {}
    found: dict = {}
    # A first round alone: the published scheme says what 'matched' is.
    for name in ('published', 'first-order', *variants_of(model, args)):
        if name in VARIANTS:
            residual = found['published']['true_residual']
            plans[name] = settings_of(name, args, residual)
        side = side_of(task, name, plans, check=True)
        found[name] = look_at(task, batches, side)
        del side
    sides = [side_of(task, name, plans) for name in found]
    times = []
    for turn in range(args.repeats):
        race(batches, sides, turn)
        times.append({name: side.seconds for name, side in zip(found, sides)})
    records = []
    for name in found:
        records.append(record_of(name, found, times, plans.get(name)))
        records[-1]['model'] = model
        print(report(records[-1]), flush=True)
    return records


def side_of(task: DigitsTask, name: str, plans: dict, check: bool = False) -> Side:
    own = (task.args.lower_steps, task.args.upper_steps)
    if name in plans:
        return Package(task, *plans[name], check=check)
    kind = Published if name == 'published' else FirstOrder
    return kind(task, own, check=check)


def prepare(args: argparse.Namespace) -> None:
    """The settings of the process that :func:`measure` needs."""
    MMLogger.get_instance('mmengine').setLevel(logging.ERROR)
    init_default_scope('mmpretrain')
    torch.backends.cudnn.allow_tf32 = args.tf32
    torch.backends.cuda.matmul.allow_tf32 = args.tf32


def main() -> None:
    args = parse_args()
    prepare(args)
    records: list = []
    for model in args.model:
        records += measure(model, args)
        if args.json:
            write_json(args.json, record_of_run(records, args))


if __name__ == '__main__':
    main()
