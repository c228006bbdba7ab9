"""The most vectors that a solver keeps, where its decisions need values."""

import copy
from typing import Any, cast

import torch

from ...hypergradient import (
    BoundSolver,
    CGSolver,
    LayerwiseCGSolver,
    LowRankSolver,
    MinresSolver,
    NeumannSolver,
    RecyclingSolver,
    Solution,
    Solver,
    Status,
    TruncatedCGSolver,
    Vectors,
)
from ...hypergradient.solvers.recycling import FEW_KEPT

#: Rows that a basis takes at once.
_BLOCK = 4
#: Solvers whose iterations after the second take no more memory.
_ALIKE = (CGSolver, LayerwiseCGSolver, NeumannSolver, TruncatedCGSolver)


def worst_case(solver: Solver) -> Solver:
    """The solver, or one that takes as much memory at worst and computes
    nothing."""
    settings: Any = solver
    if isinstance(solver, RecyclingSolver):
        kept, new = settings.max_basis, settings.max_iters
        # Directions and images; a block of each is kept to spare.
        return Keeps(2 * (kept + _BLOCK), 2 * (kept + new))
    if isinstance(solver, LowRankSolver):
        # A renewal makes the new directions beside the old ones.
        return Keeps(settings.rank + _BLOCK, 2 * (settings.rank + _BLOCK))
    if isinstance(solver, MinresSolver):
        return Keeps(0, settings.max_iters + 1)
    if isinstance(solver, _ALIKE):
        settings = copy.copy(solver)
        settings.max_iters = min(settings.max_iters, 2)
    return settings


def bytes_of_vectors(solver: Solver, worst: Solver) -> tuple[int, int | None]:
    """The most that a solver's vectors take during a solve, and the same with
    ``max_basis=FEW_KEPT``.

    Args:
        solver (Solver): Any.
        worst (Solver): Its :func:`worst_case`, after a solve.

    Returns:
        tuple: Bytes. The second is None if the solver has no such setting, or keeps
        as few.
    """
    if not isinstance(worst, Keeps):
        return 0, None
    most, few = worst.most * worst.vector, cast(Any, copy.copy(solver))
    if not isinstance(solver, RecyclingSolver) or few.max_basis <= FEW_KEPT:
        return most, None
    few.max_basis = FEW_KEPT
    return most, cast(Keeps, worst_case(few)).most * worst.vector


class Keeps(Solver):
    """Makes one product per solve, and keeps vectors.

    Args:
        kept (int): Vectors from one solve to the next.
        most (int): Vectors during a solve.

    Attributes:
        vector (int): Bytes of one; 0 before the first solve.
    """

    def __init__(self, kept: int, most: int) -> None:
        self.kept, self.most, self.vector = kept, most, 0

    def bind(self, operator: Any, state: dict[str, Any] | None = None) -> BoundSolver:
        """See :meth:`Solver.bind`."""
        return _Bound(self, operator)

    def _solve(self, operator: Any, rhs: Vectors, rhs_square: float) -> Solution:
        return self.bind(operator).solve(rhs)


class _Bound(BoundSolver):
    solver: Keeps

    def __init__(self, solver: Keeps, operator: Any) -> None:
        super().__init__(solver, operator)
        self._rows: list[torch.Tensor] = []

    def _solve(self, rhs: Vectors, rhs_square: float) -> Solution:
        like = torch.cat([v.reshape(-1) for v in rhs])
        self.solver.vector = like.numel() * like.element_size()
        missing = self.solver.most - len(self._rows)
        self._rows += [torch.empty_like(like) for _ in range(missing)]
        product = self.operator(rhs)
        del self._rows[self.solver.kept :]
        return Solution(product, Status.MAX_ITERS, 1, 1.0, 1.0)
