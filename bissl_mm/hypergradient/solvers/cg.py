"""Conjugate gradients over the whole parameter vector."""

import math

import torch

from ...utils.check import check_in, check_keys, check_non_negative, check_positive_int
from ..linalg.vectors import (
    Vectors,
    add_scaled_,
    clone,
    dot,
    scale_add_,
    subtract,
    zeros_like,
)
from .base import LinearOperator, Solution, Solver, Status, finish
from .conjugate import MetCurvature, ratio, rayleigh
from .limit import fall_back


@check_keys
class CGSolver(Solver):
    """Conjugate gradients with one step size for all tensors ("global").

    In exact arithmetic it solves a positive definite system of n unknowns
    within n iterations, and the residual of its recursion is that of the system.

    Args:
        max_iters (int): Largest number of iterations N_c. Defaults to 5.
        tolerance (float): Stop once ``||b - A x|| / ||b||`` is at most this.
            Defaults to 0: run ``max_iters`` iterations.
        negative_curvature (str): What to do if ``p.Ap <= 0``, or if it is no
            more than rounding, as on a singular operator. From there on CG has
            no guarantee. ``'stop'`` returns the iterate reached; in the first
            iteration this is the limit of a large lambda, ``b`` itself with the
            squared distance.
            ``'continue'`` goes on as the published code does. If residuals
            become large on the way, rounding makes the reported residual too
            small. Defaults to ``'stop'``.
        epsilon (float): Added to both denominators. The published code has
            1e-12. Defaults to 0.

    Source:
        Hestenes & Stiefel 1952; N_c = 5 from B.3, arXiv:2410.02387.
    """

    def __init__(
        self,
        max_iters: int = 5,
        tolerance: float = 0.0,
        negative_curvature: str = 'stop',
        epsilon: float = 0.0,
    ) -> None:
        check_positive_int('CGSolver', 'max_iters', max_iters)
        check_in(
            'CGSolver', 'negative_curvature', negative_curvature, ('stop', 'continue')
        )
        check_non_negative('CGSolver', 'tolerance', tolerance)
        check_non_negative('CGSolver', 'epsilon', epsilon)
        self.max_iters = max_iters
        self.tolerance = tolerance
        self.negative_curvature = negative_curvature
        self.epsilon = epsilon

    def _solve(
        self, operator: LinearOperator, rhs: Vectors, rhs_square: float
    ) -> Solution:
        x = zeros_like(rhs)
        r, p, buffer = clone(rhs), clone(rhs), clone(rhs)
        rr = dot(r, r)
        curvature, met = rr.new_full((), math.inf), MetCurvature(rr)
        wanted, seen = self.tolerance**2 * rhs_square, rhs_square
        # Reading a value from the device waits for it. Without a tolerance or a
        # stop nothing is decided by it, so no value is read.
        stops = self._stops(operator)
        decides = self.tolerance > 0 or stops
        status = Status.MAX_ITERS if self.tolerance > 0 else Status.FIXED_ITERS
        num_iters = 0
        while num_iters < self.max_iters:
            q = operator(p)
            num_iters += 1
            pq, pp = dot(p, q), dot(p, p)
            curvature = torch.minimum(curvature, rayleigh(pq, pp))
            if stops and met.is_flat(pq, pp):
                status = Status.NEGATIVE_CURVATURE
                if num_iters == 1:
                    x, rr, more = fall_back(operator, rhs, q)
                    num_iters += more
                break
            step = ratio(rr, pq + self.epsilon)
            add_scaled_(x, p, step, buffer)
            add_scaled_(r, q, -step, buffer)
            rr_next = dot(r, r)
            met.step(step, rr, rr_next, pp)
            if decides and rr_next.item() <= wanted:
                rr = rr_next
                if not self._doubts(met, x, wanted, rhs_square):
                    status = Status.CONVERGED
                    break
                if num_iters == self.max_iters:
                    break
                # One product gives the true residual, and CG restarts from it.
                r = subtract(rhs, operator(x))
                num_iters += 1
                rr = dot(r, r)
                before, seen = seen, rr.item()
                if not wanted < seen < before / 4:
                    status = Status.CONVERGED if seen <= wanted else Status.EXHAUSTED
                    break
                p = clone(r)
                continue
            scale_add_(p, ratio(rr_next, rr + self.epsilon), r)
            rr = rr_next
        return finish(x, status, num_iters, rr + met.rounding(x), curvature, rhs_square)

    def _stops(self, operator: LinearOperator) -> bool:
        """Whether negative curvature can be met, and ends the solve."""
        is_definite = getattr(operator, 'is_positive_definite', False)
        return self.negative_curvature == 'stop' and not is_definite

    def _doubts(
        self, met: MetCurvature, x: Vectors, wanted: float, rhs_square: float
    ) -> bool:
        """Whether the recursion's residual may differ from that of ``x``."""
        if self.negative_curvature == 'continue':
            return self.tolerance > 0
        return met.hides(x, wanted, rhs_square)
