"""Materialise a small operator and solve it directly: the tests' oracle."""

import math

import torch
from torch import Tensor

from ..utils.check import check_keys, check_positive_int
from ..utils.errors import ValueRefusal
from .solver import LinearOperator, Solution, Solver, Status, relative_residual
from .vectors import Vectors


def materialize(operator: LinearOperator, like: Vectors) -> Tensor:
    """The dense matrix of an operator, one product a column.

    Args:
        operator (LinearOperator): The operator.
        like (Vectors): Any vector of its domain, n numbers in all.

    Returns:
        Tensor: Shape ``(n, n)``.
    """
    sizes = [t.numel() for t in like]
    total = sum(sizes)
    columns = []
    for i in range(total):
        unit = like[0].new_zeros(total)
        unit[i] = 1.
        columns.append(flatten(operator(_split(unit, like))))
    return torch.stack(columns, dim=1)


def flatten(vectors: Vectors) -> Tensor:
    """The vector as one tensor of shape ``(n, )``."""
    return torch.cat([t.flatten() for t in vectors])


def _split(flat: Tensor, like: Vectors) -> Vectors:
    parts = flat.split([t.numel() for t in like])
    return tuple(p.view_as(t) for p, t in zip(parts, like))


@check_keys
class DenseSolver(Solver):
    """Solve by factorising the materialised matrix.

    For a few hundred parameters: it costs one product a parameter.

    Args:
        max_size (int): Largest number of parameters that it takes on.
            Defaults to 5000.

    Raises:
        ValueError: On solve, if the system is larger than ``max_size``.
    """

    def __init__(self, max_size: int = 5000) -> None:
        check_positive_int('DenseSolver', 'max_size', max_size)
        self.max_size = max_size

    @torch.no_grad()
    def solve(self, operator: LinearOperator, rhs: Vectors) -> Solution:
        size = sum(t.numel() for t in rhs)
        if size > self.max_size:
            raise ValueRefusal(
                f'DenseSolver: the system has {size} unknowns, more than '
                f'max_size={self.max_size}. Use CGSolver.')
        matrix = materialize(operator, rhs)
        matrix = (matrix + matrix.T) / 2
        x = _split(torch.linalg.solve(matrix, flatten(rhs)), rhs)
        curvature = torch.linalg.eigvalsh(matrix)[0].item()
        residual = relative_residual(operator, x, rhs)
        status = Status.CONVERGED if math.isfinite(residual) \
            else Status.NOT_FINITE
        return Solution(x, status, size, residual, curvature)
