"""What the solvers of conjugate gradients share."""

import math

import torch
from torch import Tensor

from ..linalg.vectors import Vectors, dot


def ratio(numerator: Tensor, denominator: Tensor) -> Tensor:
    """``numerator / denominator``, and 0 where either is exactly 0.

    The numerators of conjugate gradients are squared residuals: where one is
    0 nothing is left to solve, and the step is 0, not 0/0. Along a direction
    of no curvature no step is right, and an infinite one is worse than none.
    """
    is_zero = (numerator == 0) | (denominator == 0)
    return torch.where(is_zero, 0.0, numerator / denominator)


def rayleigh(pq: Tensor, pp: Tensor) -> Tensor:
    """The curvature ``p.Ap / p.p``; infinite, as if none was met, for p = 0."""
    return torch.where(pp == 0, math.inf, pq / pp)


class MetCurvature:
    """What conjugate gradients have met of an operator, to tell what they do
    from rounding."""

    def __init__(self, like: Tensor) -> None:
        self._largest = torch.zeros_like(like)
        self._norm_square = torch.zeros_like(like)
        self._eps = torch.finfo(like.dtype).eps

    def is_flat(self, pq: Tensor, pp: Tensor) -> bool:
        """Whether ``p.Ap`` is negative, zero, or no more than 4 eps of the
        largest one met."""
        # Not the other way round: a NaN must get through to the status.
        is_flat = bool(pq <= 4 * self._eps * self._largest * pp)
        self._largest = (
            torch.maximum(self._largest, rayleigh(pq, pp))
            if not is_flat
            else self._largest
        )
        return is_flat

    def step(self, size: Tensor, rr: Tensor, rr_next: Tensor, pp: Tensor) -> None:
        """Take in a step along p; ``rr`` is the square of the residual."""
        # r_next = r - size A p is orthogonal to r: no look at A p is needed.
        self._norm_square = torch.maximum(
            self._norm_square, ratio(rr + rr_next, size.square() * pp)
        )

    def hides(self, x: Vectors, wanted: float, rhs_square: float) -> bool:
        """Whether rounding of ``A x`` is larger than what the recursion says
        is left, less than the square root of ``wanted``."""
        return self.rounding(x).item() > max(wanted, 64 * self._eps**2 * rhs_square)

    def rounding(self, x: Vectors) -> Tensor:
        """Square of the rounding of ``A x``, about."""
        return self._eps**2 * self._norm_square * dot(x, x)
