"""What the solvers of conjugate gradients share."""

import math

import torch
from torch import Tensor

from ..linalg.vectors import Vectors, dot


def ratio(numerator: Tensor, denominator: Tensor) -> Tensor:
    """``numerator / denominator``, and 0 where either is exactly 0.

    The numerators of conjugate gradients are squared residuals. Where one is 0,
    nothing is left to solve, and the step is 0 instead of 0/0. Along a direction
    without curvature no step is right, and no step is better than an infinite
    one.
    """
    is_zero = (numerator == 0) | (denominator == 0)
    return torch.where(is_zero, 0.0, numerator / denominator)


def rayleigh(pq: Tensor, pp: Tensor) -> Tensor:
    """The curvature ``p.Ap / p.p``. For p = 0 it is infinite, as if no
    curvature was met."""
    return torch.where(pp == 0, math.inf, pq / pp)


class MetCurvature:
    """The curvature that conjugate gradients have met, to tell their results
    from rounding."""

    def __init__(self, like: Tensor) -> None:
        self._largest = torch.zeros_like(like)
        self._norm_square = torch.zeros_like(like)
        self._eps = torch.finfo(like.dtype).eps

    def is_flat(self, pq: Tensor, pp: Tensor) -> bool:
        """Whether ``p.Ap`` is negative, zero, or no more than 4 eps of the
        largest one met."""
        # This comparison lets a NaN pass on to the status.
        is_flat = bool(pq <= 4 * self._eps * self._largest * pp)
        self._largest = (
            torch.maximum(self._largest, rayleigh(pq, pp))
            if not is_flat
            else self._largest
        )
        return is_flat

    def step(self, size: Tensor, rr: Tensor, rr_next: Tensor, pp: Tensor) -> None:
        """Record a step along p; ``rr`` is the square of the residual."""
        # r_next = r - size A p is orthogonal to r, so A p itself is not needed.
        self._norm_square = torch.maximum(
            self._norm_square, ratio(rr + rr_next, size.square() * pp)
        )

    def hides(self, x: Vectors, wanted: float, rhs_square: float) -> bool:
        """Whether the rounding of ``A x`` exceeds the residual of the recursion,
        which is below the square root of ``wanted``."""
        return self.rounding(x).item() > max(wanted, 64 * self._eps**2 * rhs_square)

    def rounding(self, x: Vectors) -> Tensor:
        """About the square of the rounding of ``A x``."""
        return self._eps**2 * self._norm_square * dot(x, x)
