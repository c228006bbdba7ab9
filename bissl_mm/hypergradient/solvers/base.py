"""What every solver of the linear system has in common."""

import enum
import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ..linalg.vectors import Vectors, clone, dot, is_zero, norm, subtract, zeros_like
from ..operators.base import LinearOperator


class Status(enum.Enum):
    """How a solve ended. The value explains it to the user."""

    CONVERGED = 'the residual is at or below the tolerance'
    ESTIMATED = (
        'the residual is estimated to be at or below the tolerance; '
        'no product has verified this'
    )
    MAX_ITERS = 'all iterations were used before the tolerance was reached'
    FIXED_ITERS = 'the fixed number of iterations was run; convergence was not checked'
    NEGATIVE_CURVATURE = (
        'a direction of negative or zero curvature was met, so the operator '
        'is not positive definite: raise damping or the regularizer weight'
    )
    EXHAUSTED = (
        'no further direction lowers the residual: the operator is '
        'singular, or only rounding is left'
    )
    DIVERGED = (
        'the residual grew, so the best partial sum was kept: raise damping '
        'or choose another solver'
    )
    NOT_FINITE = (
        'the solution contains NaN or infinity: so does a product or '
        'the downstream gradient'
    )


@dataclass(frozen=True)
class Solution:
    """Result of one solve of ``A x = b``.

    Attributes:
        value (Vectors): The solution ``x``, with the structure of ``b``.
        status (Status): How the solve ended. If a NaN was met, this is
            ``Status.NOT_FINITE``, and ``value`` means nothing.
        num_iters (int): Iterations, each of one product with the operator.
        residual_norm (float): ``||b - A x|| / ||b||`` from the solver's own
            recursion, exact up to rounding. For :class:`LayerwiseCGSolver` it
            is not the residual of the system. For :class:`RecyclingSolver` it
            may be an estimate. The rounding of a product is taken to be that of
            its length: digits that an operator loses within, as ``I + H`` with H
            near ``-I``, are not seen.
        min_curvature (float): Smallest ``p.Ap / p.p`` met.
        true_residual_norm (float, optional): ``||b - A x|| / ||b||`` from one
            more product, if it was asked for.
    """

    value: Vectors
    status: Status
    num_iters: int
    residual_norm: float
    min_curvature: float
    true_residual_norm: float | None = None


class Solver(ABC):
    """Settings of a solver. :meth:`bind` makes a solver of one operator.

    A solver works on tensors and an operator. It knows nothing of models or of
    BiSSL. If the operator returns the same values on every rank, a solver takes
    the same number of iterations on every rank.

    Attributes:
        uses_products (bool): Whether a solve applies the operator. If not, its
            graphs need not be built.
        is_homogeneous (bool): Whether a multiple of the right-hand side gives
            the same multiple of the solution.
        is_direct (bool): Whether the matrix of all products is inverted, which
            takes exact products.
        keeps_curvature (bool): Whether the state is one of the curvature alone,
            and so serves the same curvature with another metric or factor.
    """

    uses_products = True
    is_homogeneous = True
    is_direct = False
    keeps_curvature = False

    def bind(
        self, operator: LinearOperator, state: dict[str, Any] | None = None
    ) -> 'BoundSolver':
        """A solver of the systems of one operator.

        Args:
            operator (LinearOperator): Applies ``A``. It must be symmetric.
            state (dict, optional): The ``state_dict`` of a solver with the same
                settings and the same operator, for example from a checkpoint.
        """
        return BoundSolver(self, operator)

    def for_next_phase(self, state: dict[str, Any]) -> dict[str, Any]:
        """What is kept for :meth:`bind` to the next phase's operator; by default
        nothing.

        Args:
            state (dict): Of :meth:`BoundSolver.state_dict` at the end of a phase.
        """
        return {}

    def solve(self, operator: LinearOperator, rhs: Vectors) -> Solution:
        """One solve; see :meth:`BoundSolver.solve`."""
        return self.bind(operator).solve(rhs)

    def check_size(self, size: int) -> None:  # noqa: B027
        """Refuse a system that is too large. Most solvers accept every one.

        Args:
            size (int): Number of unknowns.
        """

    @abstractmethod
    def _solve(
        self, operator: LinearOperator, rhs: Vectors, rhs_square: float
    ) -> Solution:
        """Solve for a right-hand side that is finite and not zero.

        For a homogeneous solver its norm is also within the range of its type.

        Args:
            operator (LinearOperator): Applies ``A``.
            rhs (Vectors): Not changed.
            rhs_square (float): The square of its norm.
        """

    def __repr__(self) -> str:
        settings = ', '.join(
            f'{k}={v!r}' for k, v in vars(self).items() if not k.startswith('_')
        )
        return f'{type(self).__name__}({settings})'


class BoundSolver:
    """A solver and the operator of its systems.

    It holds what a solver keeps from one solve to the next, for as long as the
    operator lives.

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
            Solution: See there. A zero right-hand side gives zero. One that is
            not finite gives ``Status.NOT_FINITE``.
        """
        if not self.solver.uses_products:
            return self._solve(rhs, math.nan)
        square = dot(rhs, rhs).item()
        if square == 0 and is_zero(rhs):
            return Solution(zeros_like(rhs), Status.CONVERGED, 0, 0.0, math.inf)
        factor = scale_to_range(rhs, square) if self.solver.is_homogeneous else 1.0
        if factor == 1:
            return (
                self._solve(rhs, square)
                if math.isfinite(square)
                else not_finite(rhs, 0)
            )
        # Squares of these values would leave the range of their type.
        own = scaled(rhs, factor)
        solution = self._solve(own, dot(own, own).item())
        value = scaled(solution.value, 1 / factor)
        if all(bool(v.isfinite().all()) for v in value):
            return replace(solution, value=value)
        return not_finite(rhs, solution.num_iters)

    def _solve(self, rhs: Vectors, rhs_square: float) -> Solution:
        return self.solver._solve(self.operator, rhs, rhs_square)

    def state_dict(self) -> dict[str, Any]:
        """What is kept from one solve to the next, for :meth:`Solver.bind`.
        Empty if nothing is kept."""
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
    """The same solution with its :attr:`Solution.true_residual_norm`."""
    return replace(
        solution, true_residual_norm=relative_residual(operator, solution.value, rhs)
    )


def scale_to_range(x: Vectors, square: float) -> float:
    """The factor by which a vector is scaled before it is squared.

    It is 1 if ``square``, the square of the norm as computed, lies well within
    the range of its type. Otherwise it is the power of two that brings the
    largest value near 1.
    """
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
    """The result of a solve that met NaN or infinity: a copy of ``rhs``, and
    no residual."""
    return Solution(clone(rhs), Status.NOT_FINITE, num_iters, math.nan, math.nan)


def finish(
    x: Vectors,
    status: Status,
    num_iters: int,
    rr: Tensor | float,
    curvature: Tensor | float,
    rhs_square: float,
) -> Solution:
    """Read the scalars from the device in one transfer and set the status.

    Args:
        x (Vectors): The solution.
        status (Status): The status if all values are finite.
        num_iters (int): Iterations run.
        rr (Tensor or float): The square of the residual's norm, by the recursion.
        curvature (Tensor or float): The smallest curvature met.
        rhs_square (float): The square of the norm of the right-hand side.
    """
    scalars = [s for s in (rr, curvature) if isinstance(s, Tensor)]
    square, *read = torch.stack((dot(x, x), *scalars)).tolist()
    # A number of the host is rounded to the type that it would have on the device.
    rr_value, curvature_value = (
        read.pop(0)
        if isinstance(s, Tensor)
        else torch.tensor(s, dtype=torch.float64).to(x[0].dtype).item()
        for s in (rr, curvature)
    )
    if not (math.isfinite(square) and math.isfinite(rr_value)):
        return Solution(x, Status.NOT_FINITE, num_iters, math.nan, curvature_value)
    return Solution(
        x, status, num_iters, math.sqrt(rr_value / rhs_square), curvature_value
    )
