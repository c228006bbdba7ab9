"""Solvers and Hessian batches on the systems of one upper phase."""

import argparse
import itertools
import statistics
import time

from mmengine.runner import Runner

from bissl_mm.datasets.batch_parts import first_samples
from bissl_mm.engine.steps.gradients import FirstOrder
from bissl_mm.hypergradient import Curvature, GaussNewton, Hessian, implicit_operator
from bissl_mm.hypergradient.linalg.vectors import cosine, norm, subtract, zeros_like
from bissl_mm.models import pretext_closure
from bissl_mm.models.losses.outputs import pretext_outputs_closure
from bissl_mm.registry import build_solver

#: Name -> (solver, whether on the Gauss-Newton operator).
SOLVERS = {
    'v itself': (dict(type='IdentitySolver'), False),
    'published': (dict(type='LayerwiseCGSolver'), False),
    'CG': (dict(type='CGSolver'), False),
    'truncated CG': (dict(type='TruncatedCGSolver', tolerance=0.1), False),
    'MINRES': (dict(type='MinresSolver', tolerance=0.1), False),
    'recycling': (dict(type='RecyclingSolver', tolerance=0.1), False),
    # Its residual is that of its own system.
    'Gauss-Newton': (dict(type='CGSolver', max_iters=10, tolerance=0.1), True),
}


class Study:
    """The systems of one moment of a run."""

    def __init__(self, runner: Runner, args: argparse.Namespace) -> None:
        self.args = args
        loop = runner.train_loop
        self.model = loop.model
        self.reg_weight = runner.optim_wrapper.regularizer.weight
        # Far beyond what the run itself draws.
        begin = 10**6 + 100 * loop.iter
        lower, upper = loop.streams['lower'], loop.streams['upper']
        self.batches = [lower.batch_at(begin + i) for i in range(8)]
        first_order = FirstOrder(None, None)
        self.rhs = [
            first_order.gradients_at_lower(
                self.model,
                first_order.prepare(
                    self.model.downstream, 'upper', upper.batch_at(begin + i)
                ),
                i,
            )[1]
            for i in range(args.rhs)
        ]

    def curvature(self, batches: list, gauss_newton: bool = False) -> Curvature:
        pretext = self.model.pretext
        closure = pretext_outputs_closure if gauss_newton else pretext_closure
        kind = GaussNewton if gauss_newton else Hessian
        return kind(
            [
                closure(pretext, pretext.data_preprocessor(batch, True), i)
                for i, batch in enumerate(batches)
            ],
            self.model.lower_backbone(),
        )

    def solve(self, curvature: Curvature, damping: float, solver: dict) -> list:
        """All right-hand sides in turn, with the processor time of each."""
        bound = build_solver(solver).bind(
            implicit_operator(curvature, self.reg_weight, damping)
        )
        found = []
        for v in self.rhs:
            begin, products = time.process_time(), curvature.num_products
            solution = bound.solve(v)
            found.append(
                dict(
                    cpu_seconds=time.process_time() - begin,
                    products=curvature.num_products - products,
                    min_curvature=solution.min_curvature,
                    residual=solution.residual_norm,
                    cosine=cosine(v, solution.value).item(),
                    v_ij=solution.value,
                )
            )
        return found

    def solvers(self) -> list:
        """Every solver at every damping, on one pretext batch."""
        records = []
        hessian = self.curvature(self.batches[:1])
        gauss_newton = self.curvature(self.batches[:1], True)
        for operator in (hessian, gauss_newton):
            # The first product finds its memory; it is nobody's time.
            operator(self.rhs[0])
        for damping, name in itertools.product(self.args.damping, SOLVERS):
            solver, use_gauss_newton = SOLVERS[name]
            curvature = gauss_newton if use_gauss_newton else hessian
            operator = implicit_operator(curvature, self.reg_weight, damping)
            found = self.solve(curvature, damping, solver)
            residuals = [
                (norm(subtract(v, operator(f['v_ij']))) / norm(v)).item()
                for v, f in zip(self.rhs, found)
            ]
            records.append(
                dict(
                    solver=name,
                    damping=damping,
                    residual=max(residuals),
                    cosine=min(f['cosine'] for f in found),
                    min_curvature=min(f['min_curvature'] for f in found),
                    products=mean(f['products'] for f in found),
                    cpu_seconds=mean(f['cpu_seconds'] for f in found),
                )
            )
            r = records[-1]
            print(
                f'| {name} | {damping:g} | {r["residual"]:.2g} | '
                f'{r["cosine"]:.2f} | {r["min_curvature"]:.2g} | '
                f'{r["products"]:.1f} | {r["cpu_seconds"]:.1f} |',
                flush=True,
            )
        hessian.close()
        gauss_newton.close()
        return records

    def sizes(self, damping: float) -> list:
        """Hessian batches of several sizes against one of four batches."""
        # Residuals that are known, so that none of it counts as noise.
        solver = dict(
            type='RecyclingSolver',
            max_iters=24,
            tolerance=0.02,
            max_basis=48,
            extrapolate=False,
        )
        curvature = self.curvature(self.batches[4:])
        reference = self.solve(curvature, damping, solver)
        records = [
            self._size(
                f'4 x {len_of(self.batches[0])}', damping, [reference], reference
            )
        ]
        curvature.close()
        for size in self.args.size:
            samples = []
            for batch in self.batches[:3]:
                curvature = self.curvature([first_samples(batch, size)])
                samples.append(self.solve(curvature, damping, solver))
                curvature.close()
            records.append(self._size(size, damping, samples, reference))
        return records

    def _size(self, size, damping: float, samples: list, reference: list) -> dict:
        pairs = [
            (v, a['v_ij'], b['v_ij'])
            for x, y in itertools.combinations(samples, 2)
            for v, a, b in zip(self.rhs, x, y)
        ]
        off = [
            (v, a['v_ij'], b['v_ij'])
            for x in samples
            for v, a, b in zip(self.rhs, x, reference)
        ]
        record = dict(
            size=size,
            damping=damping,
            products=mean(f['products'] for x in samples for f in x),
            residual=max(f['residual'] for x in samples for f in x),
            cpu_seconds=mean(f['cpu_seconds'] for x in samples for f in x),
            spread=mean(distance(a, b) for _, a, b in pairs),
            correction_cosine=mean(
                cosine(subtract(a, v), subtract(b, v)).item() for v, a, b in pairs
            ),
            off_reference=mean(distance(a, b) for _, a, b in off),
            v_off_reference=mean(distance(v, b) for v, _, b in off),
        )
        print(
            f'| {size} | {damping:g} | {record["products"]:.1f} | '
            f'{record["residual"]:.2g} | '
            f'{record["cpu_seconds"]:.1f} | {record["spread"]:.3f} | '
            f'{record["correction_cosine"]:.2f} | '
            f'{record["off_reference"]:.3f} | '
            f'{record["v_off_reference"]:.3f} |',
            flush=True,
        )
        return record


def mean(values) -> float:
    values = list(values)
    return statistics.fmean(values) if values else float('nan')


def distance(a, b) -> float:
    """Relative to the second, 0 if both are zero."""
    size = norm(subtract(b, zeros_like(b))).item()
    return norm(subtract(a, b)).item() / size if size else 0.0


def len_of(batch: dict) -> int:
    inputs = batch['inputs']
    return len(inputs[0]) if isinstance(inputs, list) else len(inputs)
