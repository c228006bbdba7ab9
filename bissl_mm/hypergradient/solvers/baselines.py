"""Solutions without a product, to compare solvers with."""

import math

from ...utils.check import check_keys
from ..linalg.vectors import Vectors, zeros_like
from .base import LinearOperator, Solution, Solver, Status
from .limit import limit


@check_keys
class IdentitySolver(Solver):
    r""":math:`v_{IJ} = v`, the limit of a large lambda or damping.

    There the system is that of the regularizer's second derivative alone. With the
    squared distance its solution is the right-hand side itself.
    """

    uses_products = False

    def _solve(
        self, operator: LinearOperator, rhs: Vectors, rhs_square: float
    ) -> Solution:
        return Solution(limit(operator, rhs), Status.FIXED_ITERS, 0, math.nan, math.inf)


@check_keys
class DiscardSolver(Solver):
    r""":math:`v_{IJ} = 0`: no gradient passes through the lower level.

    The head still gets its gradient at :math:`\theta_P`. In the paper "IJ
    discarded" leaves this gradient out as well (B.9.5, arXiv:2410.02387).
    """

    uses_products = False

    def _solve(
        self, operator: LinearOperator, rhs: Vectors, rhs_square: float
    ) -> Solution:
        return Solution(zeros_like(rhs), Status.FIXED_ITERS, 0, 1.0, math.inf)
