"""How many products an upper phase takes, by tolerance, basis and seed.

Nothing is timed. Each seed is another network and other batches. Its system is
projected onto the block Krylov space of the phase's right-hand sides: their span,
and what ``--depth`` products make of it. There any setting of RecyclingSolver is
counted in no time. The phase itself is also done once, with the first tolerance
and the solver's own basis, so that the projection can be compared with it. Another
damping has the same spaces, so it is counted on the same projection, where the phase
itself was not done::

    python benchmarks/product_counts.py --model resnet18 --json product_counts.json
"""

import argparse
import itertools
import logging
from collections.abc import Sequence

import torch
from digits_task import DAMPING, REG_WEIGHT, DigitsTask
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope
from phase_sides import Variant, record_of_run
from torch import Tensor
from upper_phase import full_operator, race, worst_residual

from bissl_mm.analysis.json_file import write_json
from bissl_mm.hypergradient import RecyclingSolver
from bissl_mm.hypergradient.linalg.basis import Basis, flatten, row_norm, unflatten


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        '--model', default='resnet18', choices=['resnet18', 'resnet50', 'vit-s']
    )
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2])
    parser.add_argument(
        '--tolerance', type=float, nargs='+', default=[0.08, 0.095, 0.002]
    )
    parser.add_argument('--max-basis', type=int, nargs='+', default=[1, 2, 3, 4, 16])
    parser.add_argument(
        '--damping',
        type=float,
        nargs='+',
        default=[DAMPING],
        help='with less, solves take more products, and --depth must be larger',
    )
    parser.add_argument('--curvature', default='hessian')
    parser.add_argument('--pixels', type=int, default=32)
    parser.add_argument('--batch', type=int, default=32)
    parser.add_argument('--steps', type=int, default=8, help='upper steps of the phase')
    parser.add_argument('--train-steps', type=int, default=60)
    parser.add_argument('--lr', type=float, default=0.1)
    parser.add_argument('--head-steps', type=int, default=30)
    parser.add_argument(
        '--depth',
        type=int,
        default=3,
        help='products that each right-hand side adds to the space; memory is a '
        'vector for each of them',
    )
    parser.add_argument('--json')
    args = parser.parse_args(argv)
    args.downstream_batch = max(args.batch // 4, 2)
    args.device, args.double = 'cpu', False
    return args


def projected(operator, vectors: list, depth: int) -> tuple[Tensor, Tensor]:
    """The operator and the vectors on the block Krylov space of the vectors.

    Returns:
        tuple[Tensor, Tensor]: Symmetric, shape ``(k, k)``, and ``(k, number)``,
        float64, with ``k = number * (depth + 1)``.
    """
    basis, columns = Basis(), []
    for vector in vectors:
        _extend(basis, flatten(vector))
    for step in range(len(vectors) * (depth + 1)):
        row = list(basis)[step]
        product = flatten(operator(unflatten(row, vectors[0])))
        if step < len(vectors) * depth:
            _extend(basis, product.clone())
        columns.append(basis.dots(product))
    size = len(basis)
    matrix = torch.zeros(size, size, dtype=torch.float64)
    for step, column in enumerate(columns):
        matrix[: len(column), step] = column
    # What a product leaves behind lies in rows that came later.
    matrix = torch.triu(matrix) + torch.triu(matrix, 1).T
    rhs = torch.stack([basis.dots(flatten(v)) for v in vectors], dim=1)
    return matrix, rhs


def damped(matrix: Tensor, damping: float) -> Tensor:
    r"""The matrix of :math:`I + H/(\lambda + \delta)` with another damping
    :math:`\delta` than ``DAMPING``."""
    identity = torch.eye(len(matrix), dtype=matrix.dtype)
    factor = (REG_WEIGHT + DAMPING) / (REG_WEIGHT + damping)
    return identity + factor * (matrix - identity)


def error_of_v(matrix: Tensor, rhs: Tensor) -> list[float]:
    """What every right-hand side leaves as its own solution, relative."""
    return ((matrix @ rhs - rhs).norm(dim=0) / rhs.norm(dim=0)).tolist()


def _extend(basis: Basis, row: Tensor) -> None:
    for _ in range(2):
        basis.add_to_(row, -basis.dots(row))
    basis.append(row / row_norm(row).to(row))


def count(matrix: Tensor, rhs: Tensor, **settings) -> dict:
    """Products per step of a phase, and its largest true residual."""
    bound = RecyclingSolver(**settings).bind(lambda v: (matrix @ v[0],))
    products, residuals = 0, []
    for b in rhs.T:
        solution = bound.solve((b.clone(),))
        products += solution.num_iters
        left = b - matrix @ solution.value[0]
        residuals.append((left.norm() / b.norm()).item())
    return dict(
        **settings,
        products_per_step=products / len(residuals),
        true_residual=max(residuals),
    )


def measure(args: argparse.Namespace) -> list[dict]:
    task = DigitsTask(args.model, args)
    solver = dict(type='RecyclingSolver', tolerance=args.tolerance[0])
    side = Variant(task, dict(solver=solver, curvature=args.curvature), keep=True)
    race(task, [side])
    pairs = side.pairs
    found = dict(model=args.model, seed=args.seed)
    in_the_phase = dict(
        products_per_step=side.products / len(pairs),
        true_residual=worst_residual(task, pairs),
    )
    vectors = [v for v, _ in pairs]
    del side, pairs
    matrix, rhs = projected(full_operator(task), vectors, args.depth)
    errors = error_of_v(matrix, rhs)
    print(
        f'{args.model}, seed {args.seed}: of v alone {min(errors):.3f} to '
        f'{max(errors):.3f}; in the phase {in_the_phase}',
        flush=True,
    )
    records = []
    for damping, tolerance, size in itertools.product(
        args.damping, args.tolerance, args.max_basis
    ):
        system = damped(matrix, damping)
        counted = count(system, rhs, tolerance=tolerance, max_basis=size)
        of_damping = dict(damping=damping, error_of_v=error_of_v(system, rhs))
        if damping == DAMPING:
            of_damping['in_the_phase'] = in_the_phase
        records.append(found | of_damping | counted)
        print(
            f'  damping {damping:g}, tolerance {tolerance}, {size} products kept: '
            f'{counted["products_per_step"]:.2f} per step, residual '
            f'{counted["true_residual"]:.3g}',
            flush=True,
        )
    return records


def main() -> None:
    args = parse_args()
    MMLogger.get_instance('mmengine').setLevel(logging.ERROR)
    init_default_scope('mmpretrain')
    records = []
    for args.seed in args.seeds:
        records += measure(args)
        if args.json:
            write_json(args.json, record_of_run(records, args))


if __name__ == '__main__':
    main()
