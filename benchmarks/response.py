"""Does the implicit Jacobian foretell how the lower level answers?

theta_P solves the lower level, min L(theta) + w/2 |theta - theta_D|^2, over a fixed
set of images. theta_D is shifted by s d, with d a unit gradient of a downstream
loss, and the lower level is solved again. The true response is r = (change of
theta_P) / s. A solved system predicts v_IJ. Compared are the true correction r - d
and the predicted one v_IJ - d: the cosine between them (1 is right) and the
relative error. w is what the paper calls lambda + delta.

The Hessian is that of the lower level's own images (``same``) or of other images
(``other``), in batches of one size. ``damped`` rows predict with
a larger w than the lower level has, as a damping of the system does. A network
with ReLUs and one with GELUs are compared, on scikit-learn's digits, in float64::

    python benchmarks/response.py --json benchmarks/response.json
"""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from itertools import groupby

import torch
from digits_task import Pictures
from phase_sides import record_of_run
from response_problem import Problem

from bissl_mm.analysis.json_file import write_json
from bissl_mm.hypergradient import (
    Differences,
    GaussNewton,
    Hessian,
    IdentitySolver,
    LayerwiseCGSolver,
    MinresSolver,
    RecyclingSolver,
    implicit_operator,
)
from bissl_mm.hypergradient.linalg.basis import flatten, unflatten

#: Name -> an operator of closures and parameters. A step of 1% of the weights' norm
#: goes across the kinks of ReLUs.
OPERATORS: dict[str, Callable] = {
    'hessian': Hessian,
    'gauss_newton': GaussNewton,
    'differences': Differences,
    'differences 1%': lambda *args: Differences(*args, step=1e-2),
}
#: The one of most rows; it shares products between the directions.
EXACT = RecyclingSolver(max_iters=12, max_basis=40, tolerance=0.02, extrapolate=False)
#: Name -> those that are compared on one batch of other images.
SOLVERS = {
    'published': LayerwiseCGSolver(5),
    'recycling 0.1': RecyclingSolver(max_iters=12, tolerance=0.1),
    'minres 5': MinresSolver(max_iters=5, tolerance=0.0),
    'v itself': IdentitySolver(),
}


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--network', nargs='+', default=['relu', 'gelu'])
    parser.add_argument('--seeds', type=int, default=3)
    parser.add_argument('--directions', type=int, default=5)
    parser.add_argument(
        '--weight', nargs='+', type=float, default=[10.0, 100.0], help='w'
    )
    parser.add_argument('--batch', type=int, default=64, help='images of a batch')
    parser.add_argument(
        '--batches', type=int, default=4, help='batches of the lower level'
    )
    parser.add_argument('--pixels', type=int, default=16)
    parser.add_argument('--width', type=int, default=8, help='channels at first')
    parser.add_argument('--train-steps', type=int, default=200)
    parser.add_argument(
        '--shift', type=float, default=1e-2, help='s, relative to the norm of theta_P'
    )
    parser.add_argument(
        '--steps',
        type=float,
        default=5.0,
        help='of the lower level, times the root of its condition, and 20 more',
    )
    parser.add_argument('--quick', action='store_true', help='rough and short')
    parser.add_argument('--json')
    args = parser.parse_args(argv)
    if args.quick:
        args.seeds, args.directions, args.weight = 1, 2, [10.0]
        args.width, args.batch, args.batches, args.train_steps = 4, 16, 2, 30
        args.steps = 2.0
    return args


def hessian_sets(problem: Problem) -> dict[str, list]:
    """Name -> the batches of a Hessian."""
    own, other, number = problem.own, problem.other, len(problem.own)
    size = problem.args.batch
    return {
        f'same, {number} x {size}': own,
        f'other, 1 x {size // 4}': [problem.first(other[0], size // 4)],
        f'other, 1 x {size}': other[:1],
        f'other, {number} x {size}': other,
    }


def predictions(problem: Problem, weight: float, directions: list) -> list[dict]:
    """What every operator, set of images and solver says, by direction."""
    found = []

    def add(name: str, batches: list, operator: str, solver: str, w: float) -> None:
        params = problem.params
        cut = operator == 'gauss_newton'
        curvature = OPERATORS[operator](
            [problem.closure(b, cut=cut) for b in batches], params
        )
        bound = SOLVERS.get(solver, EXACT).bind(implicit_operator(curvature, w))
        rows = []
        for i, d in enumerate(directions):
            solution = bound.solve(unflatten(d, params))
            rows.append(
                dict(
                    images=name,
                    operator=operator,
                    solver=solver,
                    system_weight=w,
                    direction=i,
                    correction=flatten(solution.value).detach() - d,
                    residual=solution.residual_norm,
                )
            )
        products = curvature.num_products / len(directions)
        found.extend(dict(row, products=products) for row in rows)
        curvature.close()

    sets = hessian_sets(problem)
    for name, batches in sets.items():
        for operator in OPERATORS:
            # Without kinks it is only a larger error.
            if operator == 'differences 1%' and problem.network == 'gelu':
                continue
            add(name, batches, operator, 'solved', weight)
    (own, *_, single, _) = sets
    for solver in SOLVERS:
        if solver != 'v itself':
            add(single, sets[single], 'hessian', solver, weight)
    for factor in (10, 100):
        add(own, sets[own], 'hessian', f'damped {factor} times', factor * weight)
    return found


def compare(problem: Problem, weight: float) -> list[dict]:
    """The rows of one network, seed and weight."""
    args = problem.args
    begin = time.perf_counter()
    centre = problem.trained
    problem.set(centre)
    curvature = problem.largest_curvature()
    rest = problem.solve(centre, centre, weight, curvature)
    problem.set(rest)
    directions = [problem.downstream_gradient(i) for i in range(args.directions)]
    shift = args.shift * rest.norm().item()

    def answer(d: torch.Tensor, at: torch.Tensor, start: torch.Tensor) -> torch.Tensor:
        moved = problem.solve(centre + shift * d, start, weight, curvature)
        return (moved - at) / shift - d

    true = [answer(d, rest, rest + shift * d) for d in directions]
    # Both solutions again, each from where the other begins.
    d = directions[0]
    again = answer(d, problem.solve(centre, rest + shift * d, weight, curvature), rest)
    true_error = ((again - true[0]).norm() / true[0].norm()).item()
    solved = time.perf_counter() - begin
    problem.set(rest)
    rows = []
    for row in predictions(problem, weight, directions):
        i, correction = row['direction'], row.pop('correction')
        row |= dict(
            weight=weight,
            cosine=torch.cosine_similarity(correction, true[i], dim=0).item(),
            error=((correction - true[i]).norm() / true[i].norm()).item(),
            true_size=true[i].norm().item(),
            true_error=true_error,
        )
        rows.append(row)
    print(
        f'  w = {weight:g}: the lower level took {solved:.0f} s, all '
        f'{time.perf_counter() - begin:.0f} s; true corrections are '
        f'{statistics.mean(t.norm().item() for t in true):.2g} of d, known to '
        f'{true_error:.1g}',
        flush=True,
    )
    return rows


def table(rows: list[dict]) -> str:
    """Means over seeds and directions, the worst in brackets, in Markdown."""
    keys = ('network', 'weight', 'images', 'operator', 'solver')

    def key(row: dict) -> tuple:
        return tuple(row[k] for k in keys)

    lines = [
        '| network | w | truth within | images | operator | solver | cosine (worst) | '
        'error | products |',
        '| --- ' * 9 + '|',
    ]
    order = {k: i for i, k in reversed(list(enumerate(map(key, rows))))}
    for name, group in groupby(sorted(rows, key=lambda r: order[key(r)]), key):
        own = list(group)
        cosines = [row['cosine'] for row in own]
        lines.append(
            f'| {name[0]} | {name[1]:g} | {max(row["true_error"] for row in own):.1g} | '
            + ' | '.join(name[2:])
            + f' | {statistics.mean(cosines):.3f} ({min(cosines):.3f}) | '
            f'{statistics.mean(row["error"] for row in own):.2f} | '
            f'{statistics.mean(row["products"] for row in own):.1f} |'
        )
    return '\n'.join(lines)


def main() -> None:
    args = parse_args()
    begin, rows = time.perf_counter(), []
    for seed in range(args.seeds):
        for network in args.network:
            print(f'{network}, seed {seed}', flush=True)
            problem = Problem(
                network, seed, args, Pictures(args.pixels, 'cpu', torch.float64)
            )
            for weight in args.weight:
                rows += [
                    dict(row, network=network, seed=seed)
                    for row in compare(problem, weight)
                ]
            if args.json:
                own = dict(
                    weights=sum(p.numel() for p in problem.params),
                    seconds=time.perf_counter() - begin,
                )
                write_json(args.json, record_of_run(rows, args) | own)
    print(table(rows))


if __name__ == '__main__':
    main()
