"""Conjugate gradients that end at the first negative curvature."""

import math

import torch

from ...utils.check import check_keys, check_non_negative, check_positive_int
from ..linalg.vectors import Vectors, add_scaled, clone, dot, subtract, zeros_like
from .base import LinearOperator, Solution, Solver, Status, finish
from .conjugate import MetCurvature, ratio, rayleigh
from .limit import fall_back


@check_keys
class TruncatedCGSolver(Solver):
    """Conjugate gradients for an operator that may be indefinite.

    It ends at the first direction of negative or zero curvature. It returns the
    iterate of smallest residual met so far, which need not be the last one. The
    relative residual may exceed 1, that of the zero vector. If the first
    direction, ``b`` itself, has negative curvature, the limit of a large lambda is
    returned: with the squared distance ``b``.

    Args:
        max_iters (int): Largest number of iterations, of one product each.
            Defaults to 10.
        tolerance (float): Stop once ``||b - A x|| / ||b||`` is at most this.
            Defaults to 0.01.

    Source:
        Steihaug 1983, without his bound on the length.
    """

    def __init__(self, max_iters: int = 10, tolerance: float = 0.01) -> None:
        check_positive_int('TruncatedCGSolver', 'max_iters', max_iters)
        check_non_negative('TruncatedCGSolver', 'tolerance', tolerance)
        self.max_iters = max_iters
        self.tolerance = tolerance

    def _solve(
        self, operator: LinearOperator, rhs: Vectors, rhs_square: float
    ) -> Solution:
        x = zeros_like(rhs)
        r = p = clone(rhs)
        rr = dot(r, r)
        curvature, met = rr.new_full((), math.inf), MetCurvature(rr)
        wanted, seen = self.tolerance**2 * rhs_square, rhs_square
        best, best_rr, best_value = x, rr, math.inf
        status, num_iters = Status.MAX_ITERS, 0
        while num_iters < self.max_iters:
            q = operator(p)
            num_iters += 1
            pq, pp = dot(p, q), dot(p, p)
            curvature = torch.minimum(curvature, rayleigh(pq, pp))
            if met.is_flat(pq, pp):
                status = Status.NEGATIVE_CURVATURE
                if num_iters == 1:
                    best, best_rr, more = fall_back(operator, rhs, q)
                    num_iters += more
                break
            step = ratio(rr, pq)
            x = add_scaled(x, p, step)
            r = add_scaled(r, q, -step)
            rr_next = dot(r, r)
            met.step(step, rr, rr_next, pp)
            value, is_new = rr_next.item(), False
            if value <= wanted and met.hides(x, wanted, rhs_square):
                if num_iters == self.max_iters:
                    break
                # One product gives the true residual, and CG restarts from it.
                r = subtract(rhs, operator(x))
                num_iters += 1
                rr_next, is_new = dot(r, r), True
                value = rr_next.item()
            # Not "value < best_value": a NaN has to pass on to the status.
            if not value >= best_value:
                best, best_rr, best_value = x, rr_next, value
            if not value > wanted:
                status = Status.CONVERGED
                break
            if is_new and not value < seen / 4:
                status = Status.EXHAUSTED
                break
            seen = value if is_new else seen
            p = r if is_new else add_scaled(r, p, ratio(rr_next, rr))
            rr = rr_next
        return finish(
            best, status, num_iters, best_rr + met.rounding(best), curvature, rhs_square
        )
