"""The most vectors that a solver keeps, where its decisions need values."""

import copy
from typing import Any

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
        return _Keeps(2 * (kept + _BLOCK), 2 * (kept + new))
    if isinstance(solver, LowRankSolver):
        # A renewal makes the new directions beside the old ones.
        return _Keeps(settings.rank + _BLOCK, 2 * (settings.rank + _BLOCK))
    if isinstance(solver, MinresSolver):
        return _Keeps(0, settings.max_iters + 1)
    if isinstance(solver, _ALIKE):
        settings = copy.copy(solver)
        settings.max_iters = min(settings.max_iters, 2)
    return settings


class _Keeps(Solver):
    """Makes one product per solve, and keeps vectors.

    Args:
        kept (int): Vectors from one solve to the next.
        most (int): Vectors during a solve.
    """

    def __init__(self, kept: int, most: int) -> None:
        self.kept, self.most = kept, most

    def bind(self, operator: Any, state: dict[str, Any] | None = None) -> BoundSolver:
        """See :meth:`Solver.bind`."""
        return _Bound(self, operator)

    def _solve(self, operator: Any, rhs: Vectors, rhs_square: float) -> Solution:
        return self.bind(operator).solve(rhs)


class _Bound(BoundSolver):
    solver: _Keeps

    def __init__(self, solver: _Keeps, operator: Any) -> None:
        super().__init__(solver, operator)
        self._rows: list[torch.Tensor] = []

    def _solve(self, rhs: Vectors, rhs_square: float) -> Solution:
        like = torch.cat([v.reshape(-1) for v in rhs])
        missing = self.solver.most - len(self._rows)
        self._rows += [torch.empty_like(like) for _ in range(missing)]
        product = self.operator(rhs)
        del self._rows[self.solver.kept :]
        return Solution(product, Status.MAX_ITERS, 1, 1.0, 1.0)
