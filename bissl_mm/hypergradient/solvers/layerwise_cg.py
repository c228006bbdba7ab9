"""The published code's variant of conjugate gradients."""

import math

import torch

from ...utils.check import check_keys, check_non_negative, check_positive_int
from ..linalg.vectors import (
    Vectors,
    add_scaled_,
    clone,
    scale_add_,
    tensor_dots,
    zeros_like,
)
from .base import LinearOperator, Solution, Solver, Status, finish
from .conjugate import ratio, rayleigh


@check_keys
class LayerwiseCGSolver(Solver):
    """Conjugate gradients with one step size per tensor.

    This is the recursion of the published experiments. Each parameter tensor
    has its own step size and its own update of the direction, although the
    operator couples all tensors. It is therefore *not* conjugate gradients on
    the system. The residual of the recursion is not ``b - A x``, and more
    iterations need not improve the solution. Convergence is guaranteed only if
    the operator is close to the identity. Look at the true residual, or use
    :class:`CGSolver`.

    Args:
        max_iters (int): Number of iterations N_c; all are run. Defaults to 5.
        epsilon (float): Added to both denominators. It matters for tensors
            whose gradient is only rounding. Defaults to 1e-12, the published
            value.

    Source:
        Section 3.3 and B.3, arXiv:2410.02387. The recursion was found from
        outputs of the published code (``pytest -m conformance``).
    """

    def __init__(self, max_iters: int = 5, epsilon: float = 1e-12) -> None:
        check_positive_int('LayerwiseCGSolver', 'max_iters', max_iters)
        check_non_negative('LayerwiseCGSolver', 'epsilon', epsilon)
        self.max_iters = max_iters
        self.epsilon = epsilon

    # Because epsilon does not scale with the right-hand side.
    is_homogeneous = False

    def _solve(
        self, operator: LinearOperator, rhs: Vectors, rhs_square: float
    ) -> Solution:
        x = zeros_like(rhs)
        r, p, buffer = clone(rhs), clone(rhs), clone(rhs)
        rr = tensor_dots(r, r)
        if rhs_square == 0:
            # The right-hand side is so small that epsilon hides all of it.
            return Solution(x, Status.FIXED_ITERS, 0, 1.0, math.inf)
        curvature = rr.new_full((), math.inf)
        for _ in range(self.max_iters):
            q = operator(p)
            pq = tensor_dots(p, q)
            curvature = torch.minimum(
                curvature, rayleigh(pq.sum(), tensor_dots(p, p).sum())
            )
            step = ratio(rr, pq + self.epsilon)
            add_scaled_(x, p, step, buffer)
            add_scaled_(r, q, -step, buffer)
            rr_next = tensor_dots(r, r)
            scale_add_(p, ratio(rr_next, rr + self.epsilon), r)
            rr = rr_next
        return finish(
            x, Status.FIXED_ITERS, self.max_iters, rr.sum(), curvature, rhs_square
        )
