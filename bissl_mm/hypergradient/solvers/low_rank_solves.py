"""Solves with a sketch of the curvature."""

import math
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from ..linalg.basis import Basis, flatten, row_norm, unflatten
from ..linalg.vectors import Vectors, dot, norm, subtract
from ..operators.base import Identity, LinearOperator, Operator, Sum
from .base import BoundSolver, Solution, Status, not_finite
from .woodbury import LowRankInverse, small_matrix

if TYPE_CHECKING:
    from .low_rank import LowRankSolver


class Measured(NamedTuple):
    """What the first solve of a phase has shown.

    ``residual`` is ``||b - A x|| / ||b||``, and ``curvature`` the smallest
    ``p.Ap / p.p`` met.
    """

    residual: float
    curvature: float


class LowRankSolves(BoundSolver):
    """The solves of one operator with one sketch of its curvature.

    Args:
        solver (LowRankSolver): The settings.
        operator (LinearOperator): Applies ``A``.
        state (dict, optional): Of :meth:`state_dict`. Defaults to None: there is
            no sketch.
    """

    solver: 'LowRankSolver'

    def __init__(
        self,
        solver: 'LowRankSolver',
        operator: LinearOperator,
        state: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(solver, operator)
        state = state or {}
        self._metric, self._factor, self._curvature = _parts_of(operator)
        # Of a curvature that is of low rank by itself, nothing is kept.
        self._own = getattr(self._curvature, 'low_rank', None)
        self._rows = Basis(state.get('rows'))
        # Checkpoints are read onto the device, where only rows belong.
        self._small = state['small'].cpu() if state else torch.zeros(0, 0)
        measured = state.get('measured')
        self._measured = None if measured is None else Measured(*measured.tolist())
        # Made at the first solve, which knows the vectors' form.
        self._inverse: Any = None

    def state_dict(self) -> dict[str, Tensor]:
        """The sketch; empty without one."""
        rows = None if self._own else self._rows.rows
        if rows is None:
            return {}
        state = dict(rows=rows, small=self._small.clone())
        if self._measured is not None:
            state['measured'] = torch.tensor(self._measured, dtype=torch.float64)
        return state

    def _solve(self, rhs: Vectors, rhs_square: float) -> Solution:
        num_products = 0
        if self._inverse is None:
            num_products = self._take_sketch(rhs)
        if self._measured is not None:
            x = self._applied(rhs)
            return self._solution(x, self._measured, num_products, Status.ESTIMATED)
        x, self._measured = self._measure(rhs)
        if not self._is_good(self._measured) and not num_products and not self._own:
            num_products = self._renew(rhs)
            x, self._measured = self._measure(rhs)
        return self._solution(x, self._measured, num_products, Status.CONVERGED)

    def _solution(
        self, x: Vectors, measured: Measured, num_products: int, good: Status
    ) -> Solution:
        if not all(bool(v.isfinite().all()) for v in x) or not all(
            map(math.isfinite, measured)
        ):
            return not_finite(x, num_products)
        status = good if self._is_good(measured) else Status.MAX_ITERS
        return Solution(x, status, num_products, *measured)

    def _applied(self, rhs: Vectors) -> Vectors:
        return self._inverse(rhs)

    def _is_good(self, measured: Measured) -> bool:
        return measured.residual <= self.solver.tolerance

    def _measure(self, rhs: Vectors) -> tuple[Vectors, Measured]:
        """A solution and, by one product, its error."""
        x = self._applied(rhs)
        product = self.operator(x)
        residual = (norm(subtract(rhs, product)) / norm(rhs)).item()
        curvature = (dot(x, product) / dot(x, x)).item()
        if len(self._small) and not self._own and isinstance(self._metric, Identity):
            least = torch.linalg.eigvalsh(self._factor * self._small)[0].item()
            curvature = min(curvature, 1 + least)
        return x, Measured(residual, curvature)

    def _take_sketch(self, rhs: Vectors) -> int:
        """Make the inverse of the sketch that is kept, or of a first one; the
        number of products."""
        if self._own:
            self._rows, self._small = self._own()
        elif not self._fits(rhs):
            self._rows, self._measured = Basis(), None
            return self._renew(rhs)
        elif self._measured is None and not self.solver.tolerance:
            # No error would be small enough.
            return self._renew(rhs)
        self._rows.to(rhs[0].device)
        self._invert(rhs)
        return 0

    def _fits(self, rhs: Vectors) -> bool:
        """Whether the sketch that is kept is one of this system."""
        first = next(iter(self._rows), None)
        return first is not None and (len(first), first.dtype) == (
            sum(v.numel() for v in rhs),
            rhs[0].dtype,
        )

    def _invert(self, rhs: Vectors) -> None:
        self._inverse = LowRankInverse(
            self._metric,
            self._factor,
            self._rows,
            self._small,
            rhs,
            orthonormal=not self._own,
        )

    def _renew(self, rhs: Vectors) -> int:
        """Improve the directions and compute T; the number of products."""
        self._inverse, count = None, 0
        self._rows.to(rhs[0].device)
        size = sum(v.numel() for v in rhs)

        def product(row: Tensor) -> Tensor:
            nonlocal count
            count += 1
            return flatten(self._curvature(unflatten(row, rhs)))

        if self.solver.rank >= size:
            # All directions: none is better than another.
            rows = torch.eye(size, dtype=rhs[0].dtype, device=rhs[0].device)
            self._rows = Basis(rows)
        else:
            self._fill(rhs, size)
            for _ in range(self.solver.passes - 1):
                self._rows = _orthonormal(map(product, self._rows))
        self._small = small_matrix(self._rows, product)
        if bool(self._small.isfinite().all()):
            self._invert(rhs)
        else:
            self._rows, self._small = Basis(), self._small[:0, :0]
            self._invert(rhs)
        return count

    def _fill(self, rhs: Vectors, size: int) -> None:
        """Take random directions for those that are missing, the same on all
        ranks, and forget those that are too many."""
        self._rows.truncate(self.solver.rank)
        generator = torch.Generator().manual_seed(len(self._rows))
        missing = self.solver.rank - len(self._rows)
        drawn = (
            torch.randn(size, generator=generator).to(rhs[0]) for _ in range(missing)
        )
        self._rows = _orthonormal(drawn, self._rows)


def _parts_of(
    operator: LinearOperator,
) -> tuple[Operator, float, Callable[[Vectors], Vectors]]:
    """C, s and H of ``C + s H``. An operator of any other form is taken for the
    identity plus a curvature."""
    if isinstance(operator, Sum):
        return operator.first, operator.second.factor, operator.second.operator
    return Identity(), 1.0, lambda x: subtract(operator(x), x)


def _orthonormal(vectors: Iterable[Tensor], rows: Basis | None = None) -> Basis:
    """Vectors as orthonormal rows, after those of ``rows``, which is changed; a
    vector that lies in the span of those before it is left out."""
    rows = rows or Basis()
    for vector in vectors:
        size = row_norm(vector).item()
        for _ in range(2):
            # The second time takes off what rounding has left.
            rows.add_to_(vector, -rows.dots(vector))
        rest = row_norm(vector).item()
        if rest > 100 * torch.finfo(vector.dtype).eps * size:
            rows.append(vector / rest)
    return rows
