"""Solve a small system directly by its dense matrix; the reference in tests."""

import torch
from torch import Tensor

from ...utils.check import check_keys, check_positive_int
from ...utils.errors import ValueRefusal
from ..linalg.vectors import Vectors
from .base import (
    LinearOperator,
    Solution,
    Solver,
    Status,
    not_finite,
    relative_residual,
)


def materialize(operator: LinearOperator, like: Vectors) -> Tensor:
    """The dense matrix of an operator, by one product per column.

    Args:
        operator (LinearOperator): The operator.
        like (Vectors): Any vector that it can be applied to, of n numbers.

    Returns:
        Tensor: Shape ``(n, n)``.
    """
    sizes = [t.numel() for t in like]
    total = sum(sizes)
    columns = []
    for i in range(total):
        unit = like[0].new_zeros(total)
        unit[i] = 1.0
        columns.append(flatten(operator(_split(unit, like))))
    return torch.stack(columns, dim=1)


def flatten(vectors: Vectors) -> Tensor:
    """The vector as one tensor of shape ``(n, )``."""
    return torch.cat([t.flatten() for t in vectors])


def _split(flat: Tensor, like: Vectors) -> Vectors:
    parts = flat.split([t.numel() for t in like])
    return tuple(p.view_as(t) for p, t in zip(parts, like, strict=True))


@check_keys
class DenseSolver(Solver):
    """Solve by the eigenvalues of the dense matrix.

    For a few hundred parameters: it takes one product per parameter. The matrix is
    inverted in double precision, so only the products round in their own. An
    eigenvalue counts as zero if it is below 8 eps of that type times the largest. For
    a singular system the solution is the shortest vector of smallest residual. Its
    status is ``EXHAUSTED``, unless the residual is below the square root of eps.

    Args:
        max_size (int): Largest number of parameters that it accepts.
            Defaults to 5000.

    Raises:
        ValueError: In a solve, if the system is larger than ``max_size``.
    """

    is_direct = True

    def __init__(self, max_size: int = 5000) -> None:
        check_positive_int('DenseSolver', 'max_size', max_size)
        self.max_size = max_size

    def check_size(self, size: int) -> None:
        """Refuse a system that is too large.

        Args:
            size (int): Number of unknowns.

        Raises:
            ValueError: If it is more than ``max_size``.
        """
        if size > self.max_size:
            raise ValueRefusal(
                f'DenseSolver: the system has {size} unknowns, more than '
                f'max_size={self.max_size}. Use CGSolver.'
            )

    def _solve(
        self, operator: LinearOperator, rhs: Vectors, rhs_square: float
    ) -> Solution:
        size = sum(t.numel() for t in rhs)
        self.check_size(size)
        matrix = materialize(operator, rhs)
        matrix = (matrix + matrix.T) / 2
        if not matrix.isfinite().all():
            return not_finite(rhs, size)
        eps = torch.finfo(matrix.dtype).eps
        # Only the products' own rounding is left, of an eps or two of the largest
        # eigenvalue. In their own type eigh would add one that grows with the size.
        values, vectors = torch.linalg.eigh(matrix.double())
        rounding = 8 * eps + size * torch.finfo(values.dtype).eps
        # Eigenvalues that are zero up to rounding are left out.
        inverse = torch.where(
            values.abs() > rounding * values.abs().max(), 1 / values, 0.0
        )
        flat = vectors @ (inverse * (vectors.T @ flatten(rhs).double()))
        x = _split(flat.to(matrix), rhs)
        residual = relative_residual(operator, x, rhs)
        return Solution(
            x,
            Status.CONVERGED if residual <= eps**0.5 else Status.EXHAUSTED,
            size,
            residual,
            values[0].item(),
        )
