"""The Neumann series of the inverse."""

import math

import torch

from ...utils.check import check_keys, check_non_negative, check_positive_int
from ...utils.errors import ValueRefusal
from ..linalg.vectors import Vectors, add_scaled, clone, dot, zeros_like
from .base import LinearOperator, Solution, Solver, Status, finish


@check_keys
class NeumannSolver(Solver):
    r"""The first terms of :math:`\alpha \sum_k (I - \alpha A)^k b`.

    It converges if every eigenvalue of the operator lies in
    :math:`(0, 2/\alpha)`. With :math:`\alpha = 1` and :math:`A = I +
    H/(\lambda + \delta)` this means :math:`\|H\| < \lambda + \delta`. Wherever
    it converges, conjugate gradients need fewer products. It is here because
    much work on bilevel optimisation uses it. Once the residual grows, more
    terms do not help, and the best sum is returned.

    Args:
        max_iters (int): Largest number of terms, of one product each.
            Defaults to 5.
        step_size (float): :math:`\alpha`. Defaults to 1.
        tolerance (float): Stop once ``||b - A x|| / ||b||`` is at most this.
            Defaults to 0: all terms.

    Source:
        Lorraine et al. 2020, arXiv:1911.02590.
    """

    def __init__(
        self, max_iters: int = 5, step_size: float = 1.0, tolerance: float = 0.0
    ) -> None:
        check_positive_int('NeumannSolver', 'max_iters', max_iters)
        check_non_negative('NeumannSolver', 'step_size', step_size)
        check_non_negative('NeumannSolver', 'tolerance', tolerance)
        if step_size == 0:
            raise ValueRefusal('NeumannSolver: step_size must be above 0.')
        self.max_iters = max_iters
        self.step_size = step_size
        self.tolerance = tolerance

    def _solve(
        self, operator: LinearOperator, rhs: Vectors, rhs_square: float
    ) -> Solution:
        x = zeros_like(rhs)
        r = clone(rhs)
        rr = dot(r, r)
        value = rhs_square
        curvature = rr.new_full((), math.inf)
        status, num_iters = Status.MAX_ITERS, 0
        while num_iters < self.max_iters:
            q = operator(r)
            num_iters += 1
            curvature = torch.minimum(curvature, dot(r, q) / rr)
            r_next = add_scaled(r, q, -self.step_size)
            rr_next = dot(r_next, r_next)
            value_next = rr_next.item()
            if value_next > value and num_iters > 1:
                status = Status.DIVERGED
                break
            x = add_scaled(x, r, self.step_size)
            r, rr, value = r_next, rr_next, value_next
            if not value > self.tolerance**2 * rhs_square:
                status = Status.CONVERGED
                break
        return finish(x, status, num_iters, rr, curvature, rhs_square)
