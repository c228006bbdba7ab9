"""What every solver of the linear system has in common."""

import enum
import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ..linalg.vectors import Vectors, clone, dot, norm, subtract, zeros_like
from ..operators.base import LinearOperator


class Status(enum.Enum):
    """How a solve ended; the value says what it means for the user."""

    CONVERGED = 'the residual is at or below the tolerance'
    ESTIMATED = (
        'the residual is estimated to be at or below the tolerance, '
        'and no product has shown that it is'
    )
    MAX_ITERS = 'all iterations were used before the tolerance was reached'
    FIXED_ITERS = 'the fixed number of iterations was run; no convergence was checked'
    NEGATIVE_CURVATURE = (
        'a direction of negative or zero curvature was met, so the operator '
        'is not positive definite: raise damping or reg_weight'
    )
    EXHAUSTED = (
        'no further direction lowers the residual: the operator is '
        'singular, or rounding is all that is left'
    )
    DIVERGED = (
        'the residual grew, so the best sum was kept: raise damping '
        'or take another solver'
    )
    NOT_FINITE = (
        'the solution holds NaN or infinity: the pretext loss or '
        'the downstream gradient is broken'
    )


@dataclass(frozen=True)
class Solution:
    """Result of one solve of ``A x = b``.

    Attributes:
        value (Vectors): The solution ``x``, same structure as ``b``.
        status (Status): How the solve ended. A NaN gives
            ``Status.NOT_FINITE``, whatever ``value`` holds.
        num_iters (int): Iterations, each of one product with the operator.
        residual_norm (float): ``||b - A x|| / ||b||`` as the solver's own
            recursion has it; exact only up to rounding. For
            :class:`LayerwiseCGSolver` it is not the residual of the system
            at all, and for :class:`RecyclingSolver` it may be an estimate.
        min_curvature (float): Smallest ``p.Ap / p.p`` met.
        true_residual_norm (float, optional): ``||b - A x|| / ||b||`` from
            one more product, where it was asked for.
    """

    value: Vectors
    status: Status
    num_iters: int
    residual_norm: float
    min_curvature: float
    true_residual_norm: float | None = None


class Solver(ABC):
    """Settings of a solver; :meth:`bind` makes one for a given operator.

    A solver knows tensors and an operator, nothing of models or of BiSSL. It
    takes the same number of iterations on every rank as long as the operator
    returns the same values on every rank.

    Attributes:
        uses_products (bool): Whether a solve applies the operator, so that
            its graphs are worth building beforehand.
        is_homogeneous (bool): Whether a multiple of the right-hand side has
            that multiple of the solution.
    """

    uses_products = True
    is_homogeneous = True

    def bind(
        self, operator: LinearOperator, state: dict[str, Any] | None = None
    ) -> 'BoundSolver':
        """A solver of the systems of one operator.

        Args:
            operator (LinearOperator): Applies ``A``. It must be symmetric.
            state (dict, optional): Of a bound solver of the same settings
                and the same operator, for example from a checkpoint.
        """
        return BoundSolver(self, operator)

    def solve(self, operator: LinearOperator, rhs: Vectors) -> Solution:
        """One solve; see :meth:`BoundSolver.solve`."""
        return self.bind(operator).solve(rhs)

    @abstractmethod
    def _solve(
        self, operator: LinearOperator, rhs: Vectors, rhs_square: float
    ) -> Solution:
        """Of a right-hand side that is finite, not zero and, for a
        homogeneous solver, within the range of its type.

        Args:
            operator (LinearOperator): Applies ``A``.
            rhs (Vectors): Not changed.
            rhs_square (float): Square of its norm.
        """

    def __repr__(self) -> str:
        settings = ', '.join(
            f'{k}={v!r}' for k, v in vars(self).items() if not k.startswith('_')
        )
        return f'{type(self).__name__}({settings})'


class BoundSolver:
    """A solver and the operator of its systems.

    What a solver keeps from one solve to the next lives here, and ends with
    the operator.

    Args:
        solver (Solver): The settings.
        operator (LinearOperator): Applies ``A``, symmetric.
    """

    def __init__(self, solver: Solver, operator: LinearOperator) -> None:
        self.solver, self.operator = solver, operator

    @torch.no_grad()
    def solve(self, rhs: Vectors) -> Solution:
        """Solve ``A x = b``.

        Args:
            rhs (Vectors): The right-hand side ``b``, of any finite norm. It
                is not changed.

        Returns:
            Solution: See there; zero for zero, ``Status.NOT_FINITE`` for a
            right-hand side that is not finite.
        """
        if not self.solver.uses_products:
            return self._solve(rhs, math.nan)
        square = dot(rhs, rhs).item()
        if square == 0 and not any(bool(b.any()) for b in rhs):
            return Solution(zeros_like(rhs), Status.CONVERGED, 0, 0.0, math.inf)
        factor = scale_to_range(rhs, square) if self.solver.is_homogeneous else 1.0
        if factor == 1:
            return (
                self._solve(rhs, square)
                if math.isfinite(square)
                else not_finite(rhs, 0)
            )
        # Squares would leave the range of their type.
        own = scaled(rhs, factor)
        solution = self._solve(own, dot(own, own).item())
        value = scaled(solution.value, 1 / factor)
        if all(bool(v.isfinite().all()) for v in value):
            return replace(solution, value=value)
        return not_finite(rhs, solution.num_iters)

    def _solve(self, rhs: Vectors, rhs_square: float) -> Solution:
        return self.solver._solve(self.operator, rhs, rhs_square)

    def state_dict(self) -> dict[str, Any]:
        """What is kept from one solve to the next, for :meth:`Solver.bind`;
        empty if nothing."""
        return {}


def relative_residual(
    operator: LinearOperator, solution: Vectors, rhs: Vectors
) -> float:
    """``||b - A x|| / ||b||`` from one product; 0 if ``b`` is zero."""
    rhs_norm = norm(rhs).item()
    factor = scale_to_range(rhs, rhs_norm**2)
    if factor != 1:
        rhs_norm = norm(scaled(rhs, factor)).item()
    if rhs_norm == 0:
        return 0.0
    rest = scaled(subtract(rhs, operator(solution)), factor)
    return norm(rest).item() / rhs_norm


def with_true_residual(
    solution: Solution, operator: LinearOperator, rhs: Vectors
) -> Solution:
    """The same solution with :attr:`Solution.true_residual_norm` filled."""
    return replace(
        solution, true_residual_norm=relative_residual(operator, solution.value, rhs)
    )


def scale_to_range(x: Vectors, square: float) -> float:
    """A power of two that brings the largest value near 1, or 1 where the
    square of the norm, as found, is well within the range of its type."""
    limits = torch.finfo(x[0].dtype)
    if not square > 1 / limits.tiny**0.5 and not square < limits.tiny**0.5:
        return 1.0
    largest = max(v.abs().max().item() for v in x if v.numel())
    if not 0 < largest < math.inf:
        return 1.0
    most = math.frexp(limits.max)[1] - 2
    return 2.0 ** min(max(-math.frexp(largest)[1], -most), most)


def scaled(x: Vectors, factor: float) -> Vectors:
    """``factor * x``; ``x`` itself for 1."""
    return x if factor == 1 else tuple(torch._foreach_mul(list(x), factor))


def not_finite(rhs: Vectors, num_iters: int) -> Solution:
    """Where an iteration met NaN or infinity: a copy of ``rhs``, no
    residual."""
    return Solution(clone(rhs), Status.NOT_FINITE, num_iters, math.nan, math.nan)


def finish(
    x: Vectors,
    status: Status,
    num_iters: int,
    rr: Tensor,
    curvature: Tensor,
    rhs_square: float,
) -> Solution:
    """Read the scalars off the device in one transfer and settle the status.

    Args:
        x (Vectors): The solution.
        status (Status): The status if everything is finite.
        num_iters (int): Iterations run.
        rr (Tensor): Square of the recursion's residual norm.
        curvature (Tensor): Smallest curvature met.
        rhs_square (float): Square of the right-hand side's norm.
    """
    square, rr_value, curvature_value = torch.stack((dot(x, x), rr, curvature)).tolist()
    if not (math.isfinite(square) and math.isfinite(rr_value)):
        return Solution(x, Status.NOT_FINITE, num_iters, math.nan, curvature_value)
    return Solution(
        x, status, num_iters, math.sqrt(rr_value / rhs_square), curvature_value
    )
