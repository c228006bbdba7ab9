"""Solutions by a matrix of low rank in the place of the curvature."""

from typing import Any

from ...utils.check import check_keys, check_non_negative, check_positive_int
from ...utils.errors import ValueRefusal
from ..linalg.vectors import Vectors
from ..operators.base import Sum
from .base import LinearOperator, Solution, Solver
from .low_rank_solves import LowRankSolves


@check_keys
class LowRankSolver(Solver):
    r"""The exact solution with :math:`H` cut down to its leading eigenvectors.

    The system is :math:`C + H/(\lambda + \delta)`. A sketch holds ``rank``
    orthonormal directions Q, which approximate the eigenvectors of :math:`H`
    with the eigenvalues that are largest in size, and :math:`T = Q^T H Q`. With
    :math:`Q T Q^T` for :math:`H`, a solution takes inner products with Q and no
    product with :math:`H` (Woodbury identity). It is exact where the rank is the
    number of unknowns.

    The sketch is kept, over steps and over upper phases, while its error allows
    it. The error is measured: the first solve of a phase spends one product on
    its residual, with the new :math:`H`. Above the tolerance the sketch is
    renewed from the directions that it has, by ``passes`` passes of subspace
    iteration of ``rank`` products each. The first sketch begins with random
    directions, the same ones in every run. The other solves of a phase are not
    checked, so :attr:`Solution.residual_norm` repeats the measured one. Then a
    status of ``ESTIMATED`` means that it is at most the tolerance.

    A curvature of low rank, ``curvature='fisher'``, needs no sketch: its own rows
    serve, ``rank``, ``passes`` and ``tolerance`` have no effect on the solution,
    and it is exact. A weight of 0 of a tensor or of the pretext head leaves no
    inverse of :math:`C`.

    Memory: ``rank`` vectors, on the host between phases; twice as many during a
    renewal. Checkpoints hold them.

    Args:
        rank (int): Number of directions. Defaults to 16.
        passes (int): Products with each direction in a renewal. The last ones
            give T. Defaults to 2.
        tolerance (float): Largest ``||b - A x|| / ||b||`` without a renewal; 0
            renews the sketch in every phase. Defaults to 0.1.

    Raises:
        ValueError: If the regularizer leaves an unknown free, in a phase.

    Source:
        Halko, Martinsson & Tropp 2011, algorithms 4.4 and 5.3.
    """

    keeps_curvature = True

    def __init__(self, rank: int = 16, passes: int = 2, tolerance: float = 0.1) -> None:
        check_positive_int('LowRankSolver', 'rank', rank)
        check_positive_int('LowRankSolver', 'passes', passes)
        check_non_negative('LowRankSolver', 'tolerance', tolerance)
        self.rank = rank
        self.passes = passes
        self.tolerance = tolerance

    def bind(
        self, operator: LinearOperator, state: dict[str, Any] | None = None
    ) -> LowRankSolves:
        """See :meth:`Solver.bind`; the state holds the sketch.

        Raises:
            ValueError: If the regularizer leaves an unknown free.
        """
        if isinstance(operator, Sum) and not operator.first.is_positive_definite:
            raise ValueRefusal(
                'LowRankSolver inverts the second derivative of the regularizer, '
                'which has no inverse where a parameter is free (a factor of 0, or '
                'hypergradient.head_damping=0) or where hypergradient.head_weight '
                'is above 0. Set the former above 0 and head_weight=0, or '
                "solver=dict(type='RecyclingSolver')."
            )
        return LowRankSolves(self, operator, state)

    def for_next_phase(self, state: dict[str, Any]) -> dict[str, Any]:
        """See :meth:`Solver.for_next_phase`: the sketch, to be measured anew."""
        return {k: v for k, v in state.items() if k != 'measured'}

    def _solve(
        self, operator: LinearOperator, rhs: Vectors, rhs_square: float
    ) -> Solution:
        return self.bind(operator)._solve(rhs, rhs_square)
