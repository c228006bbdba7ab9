"""The products that a recycling solver keeps, in one small matrix."""

import math

import torch
from torch import Tensor


class KeptProducts:
    r"""The triangle :math:`R` of :math:`A V = C R`.

    :math:`V` are orthonormal directions and :math:`C` orthonormal images,
    :math:`n \times k` each. Only :math:`R` is held here, on the host, in
    float64, shape ``(k, k)``.

    Args:
        triangle (Tensor, optional): :math:`R`. Defaults to None: there is no
            product yet.
    """

    def __init__(self, triangle: Tensor | None = None) -> None:
        self.triangle = (
            torch.zeros(0, 0, dtype=torch.float64) if triangle is None else triangle
        )

    def append(self, column: Tensor, rest: float) -> None:
        r"""Take in a product :math:`A u = C \cdot` ``column`` + ``rest`` c.

        Args:
            column (Tensor): The weights of the older images, shape ``(k, )``.
            rest (float): The weight of the new image c.
        """
        self.triangle = bordered(self.triangle, column, None, rest)

    def condition_with(self, column: Tensor, rest: float, size: float) -> float:
        r"""About how large :math:`\|R\| \, \|R^{-1}\|` would become with one
        more product, of norm ``size``; infinite where ``rest`` is zero."""
        inverse = column
        if len(column):
            inverse = torch.linalg.solve_triangular(
                self.triangle, column[:, None], upper=True
            )[:, 0]
            size = max(size, self.triangle.norm(dim=0).max().item())
        if rest == 0:
            return math.inf
        return size * math.hypot(1.0, inverse.norm().item()) / rest

    @property
    def largest(self) -> float:
        """The norm of the largest product; 0 without one."""
        return max(self.triangle.norm(dim=0).tolist(), default=0.0)

    def parts(self, weights: Tensor) -> Tensor:
        """:math:`R^{-1}` times the weights of the images: the weights of the
        directions, shape ``(k, )``."""
        if not len(weights):
            return weights
        return torch.linalg.solve_triangular(
            self.triangle, weights[:, None], upper=True
        )[:, 0]

    def rounding(self, parts: Tensor, largest: float) -> float:
        """About how much the products round in a sum of the directions, in
        units of eps.

        Args:
            parts (Tensor): The weights of the directions, shape ``(k, )``.
            largest (float): The norm of a product that is not kept. The kept
                ones may round as much as it does. 0 if there is none.
        """
        norms = self.triangle.norm(dim=0).clamp_min(largest)
        return (parts * norms).norm().item()

    def truncate(self, size: int) -> None:
        """Forget the products from number ``size`` on."""
        self.triangle = leading(self.triangle, size)


def leading(matrix: Tensor, size: int) -> Tensor:
    """The first ``size`` rows and columns, laid out as in a checkpoint: another
    layout would change the last bits of products."""
    return matrix[:size, :size].contiguous()


def bordered(
    matrix: Tensor, column: Tensor, row: Tensor | None, corner: float
) -> Tensor:
    """The matrix with one more column and one more row (None: zeros)."""
    size = len(matrix)
    result = matrix.new_zeros(size + 1, size + 1)
    result[:size, :size] = matrix
    result[:size, size] = column
    if row is not None:
        result[size, :size] = row
    result[size, size] = corner
    return result
