"""Cheaper Jacobians against the dense solution, on a small network in float64.

SimCLR with a small convolutional network on scikit-learn's digits. A phase takes
lower steps by SGD on one batch, which pull theta_P to theta_D with weight w (lambda
+ delta of the paper), and then solves for the gradients of several downstream
batches. The Hessian is that of the same batch. The truth is the dense solution of
(I + H / w) v_IJ = v. Between phases theta_P moves and the batch is another one.

``error`` is |x - v_IJ| / |v_IJ|, and ``correction`` the same over |v_IJ - v|: v
itself has 1 there. ``LoRA`` has other unknowns, the adapters, and so its own dense
solution and its own v; an exact solver would have an error of 0. Products are
Hessian-vector products, gradients those that the method takes besides, both for each
solve. Seconds are the processor's, so that other work beside does not count. The
memory is the peak of a phase above what lives before it, with graphs. Counting it
takes longer than the phase, so it is done once, in the second phase of the first seed
and the first w::

    python benchmarks/jacobians.py --json benchmarks/jacobians.json
"""

import argparse
import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from digits_task import Pictures
from jacobians_level import Level
from phase_sides import record_of_run
from response_problem import Problem
from torch import Tensor

from bissl_mm.analysis.json_file import write_json
from bissl_mm.engine.memory.live_tensors import LiveTensors, can_count
from bissl_mm.hypergradient import (
    BoundSolver,
    Fisher,
    IdentitySolver,
    LayerwiseCGSolver,
    LowRankSolver,
    RecyclingSolver,
    Solver,
    implicit_operator,
)
from bissl_mm.hypergradient.linalg.basis import flatten


@dataclass
class Method:
    """One way to v_IJ.

    Attributes:
        name (str): For the table.
        solver (Solver, optional): None unrolls ``steps``.
        parts (int): Above 0, the empirical Fisher matrix of so many gradients.
        steps (int): Lower steps that are unrolled.
        rank (int): Above 0, that of the adapters.
        kept (dict): What one phase leaves to the next.
    """

    name: str
    solver: Solver | None = None
    parts: int = 0
    steps: int = 0
    rank: int = 0
    kept: dict[str, Any] = field(default_factory=dict)


def methods(quick: bool) -> list[Method]:
    found = [
        Method('v itself', IdentitySolver()),
        Method('published, 5 iterations', LayerwiseCGSolver(5)),
        Method('recycling, 0.1', RecyclingSolver(tolerance=0.1)),
    ]
    ranks = (4,) if quick else (4, 16, 64)
    found += [
        Method(f'low rank {rank}, {name}', LowRankSolver(rank, tolerance=tolerance))
        for rank in ranks
        for name, tolerance in (('every phase', 0.0), ('error 0.3', 0.3))
    ]
    parts = (4,) if quick else (4, 8)
    found += [Method(f'Fisher, {m} gradients', LowRankSolver(), parts=m) for m in parts]
    steps = (2,) if quick else (5, 20, 80)
    found += [Method(f'unrolled, {k} steps', steps=k) for k in steps]
    adapters = (1,) if quick else (1, 2)
    exact = RecyclingSolver(40, tolerance=1e-3, max_basis=64, extrapolate=False)
    found += [
        Method(f'LoRA of rank {r}, recycling 0.001', exact, rank=r) for r in adapters
    ]
    return found


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--seeds', type=int, default=2)
    parser.add_argument('--phases', type=int, default=3)
    parser.add_argument('--directions', type=int, default=3, help='solves of a phase')
    parser.add_argument(
        '--weight', nargs='+', type=float, default=[10.0, 100.0], help='w'
    )
    parser.add_argument('--batch', type=int, default=32, help='images of a batch')
    parser.add_argument('--pixels', type=int, default=16)
    parser.add_argument('--width', type=int, default=3, help='channels at first')
    parser.add_argument('--train-steps', type=int, default=200)
    parser.add_argument('--lower-steps', type=int, default=80)
    parser.add_argument('--quick', action='store_true', help='rough and short')
    parser.add_argument('--json')
    args = parser.parse_args(argv)
    if args.quick:
        args.seeds, args.phases, args.directions = 1, 2, 2
        args.width, args.batch, args.pixels = 2, 8, 8
        args.train_steps, args.lower_steps, args.weight = 10, 2, [100.0]
    args.batches = args.phases
    return args


def bind(method: Method, level: Level) -> tuple[BoundSolver, Callable[[], int]]:
    """The bound solver of a phase, and what counts its products."""
    if method.solver is None:
        bound = level.unrolled(method.steps)
        steps = bound.operator.steps
        return bound, lambda: sum(s.curvature.num_products for s in steps)
    params = level.problem.params
    if method.parts:
        size = level.problem.args.batch // method.parts
        losses = [
            level.loss(slice(i * size, (i + 1) * size)) for i in range(method.parts)
        ]
        fisher = Fisher(losses, params)
        return method.solver.bind(implicit_operator(fisher, level.weight)), lambda: 0
    curvature = level.hessian(lazy=not method.solver.uses_products)
    operator = implicit_operator(curvature, level.weight)
    bound = method.solver.bind(operator, method.kept or None)
    return bound, lambda: curvature.num_products


def run(method: Method, level: Level, matrix: Tensor, count_memory: bool) -> dict:
    """One phase of a method, against the dense solution."""
    rhs = level.right_hand_sides()
    kept = method.kept
    begin = time.process_time()
    bound, count = bind(method, level)
    found = [flatten(bound.solve(v).value) for v in rhs]
    seconds = time.process_time() - begin
    if method.solver is not None:
        method.kept = method.solver.for_next_phase(bound.state_dict())
    flat = torch.stack([flatten(v) for v in rhs])
    exact = torch.linalg.solve(matrix, flat.T).T
    errors = [(x - e).norm().item() for x, e in zip(found, exact, strict=True)]
    del bound, found
    row: dict[str, Any] = dict(
        method=method.name,
        unknowns=len(matrix),
        error=[e / x.norm().item() for e, x in zip(errors, exact, strict=True)],
        correction=[
            e / (x - v).norm().item()
            for e, x, v in zip(errors, exact, flat, strict=True)
        ],
        products=count() / len(rhs),
        gradients=method.parts / len(rhs),
        seconds=seconds / len(rhs),
    )
    if count_memory and can_count():
        # Once more, since counting takes time.
        renewed, method.kept = method.kept, kept
        with LiveTensors() as memory:
            bound, _ = bind(method, level)
            for v in rhs:
                bound.solve(v)
            del bound
        method.kept = renewed
        row['megabytes'] = memory.peak / 2**20
    return row


def compare(problem: Problem, weight: float, count_memory: bool) -> list[dict]:
    """The rows of one seed and weight."""
    args, rows = problem.args, []
    everyone = methods(args.quick)
    for rank in sorted({m.rank for m in everyone}):
        own = [m for m in everyone if m.rank == rank]
        level = Level(problem, rank, weight)
        for number in range(args.phases):
            level.begin_phase(number)
            begin = time.process_time()
            matrix = level.dense()
            seconds = time.process_time() - begin
            name = f'dense, LoRA of rank {rank}' if rank else 'dense'
            rows.append(
                dict(
                    method=name,
                    unknowns=len(matrix),
                    error=[0.0],
                    correction=[0.0],
                    products=len(matrix) / args.directions,
                    gradients=0.0,
                    seconds=seconds / args.directions,
                    megabytes=8 * len(matrix) ** 2 / 2**20,
                    least=torch.linalg.eigvalsh(matrix)[0].item(),
                    phase=number,
                )
            )
            # In the second phase there is a sketch to keep.
            counted = count_memory and number == min(1, args.phases - 1)
            rows += [dict(run(m, level, matrix, counted), phase=number) for m in own]
    return rows


def table(rows: list[dict]) -> str:
    """Means over seeds, phases and directions, the worst in brackets."""
    lines = [
        '| w | method | unknowns | error (worst) | correction | products | gradients '
        '| MB | CPU ms a solve |',
        '| --- ' * 9 + '|',
    ]
    for key in dict.fromkeys((r['weight'], r['method']) for r in rows):
        own = [r for r in rows if (r['weight'], r['method']) == key]

        def mean(name: str, own: list[dict] = own) -> float:
            return statistics.mean(r[name] for r in own)

        # Counted with one w alone, on which it does not depend.
        memory = [
            r['megabytes'] for r in rows if r['method'] == key[1] and 'megabytes' in r
        ]

        errors = [e for r in own for e in r['error']]
        corrections = [e for r in own for e in r['correction']]
        lines.append(
            f'| {key[0]:g} | {key[1]} | {own[0]["unknowns"]} | '
            f'{statistics.mean(errors):.2g} ({max(errors):.2g}) | '
            f'{statistics.mean(corrections):.2g} | {mean("products"):.1f} | '
            f'{mean("gradients"):.1f} | '
            f'{statistics.mean(memory) if memory else math.nan:.1f} | '
            f'{1e3 * mean("seconds"):.0f} |'
        )
    return '\n'.join(lines)


def main() -> None:
    args = parse_args()
    begin, rows = time.process_time(), []
    for seed in range(args.seeds):
        print(f'seed {seed}', flush=True)
        pictures = Pictures(args.pixels, 'cpu', torch.float64)
        problem = Problem('gelu', seed, args, pictures)
        for weight in args.weight:
            count_memory = seed == 0 and weight == args.weight[0]
            found = compare(problem, weight, count_memory)
            rows += [dict(row, weight=weight, seed=seed) for row in found]
            print(
                f'  w = {weight:g}', f'{time.process_time() - begin:.0f} s', flush=True
            )
        if args.json:
            seconds = time.process_time() - begin
            write_json(args.json, record_of_run(rows, args) | dict(seconds=seconds))
    print(table(rows))


if __name__ == '__main__':
    main()
