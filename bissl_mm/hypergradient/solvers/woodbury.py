"""The inverse of a metric plus a matrix of low rank."""

from collections.abc import Callable

import torch
from torch import Tensor

from ..linalg.basis import Basis, flatten, unflatten
from ..linalg.vectors import Vectors
from ..operators.base import Identity, Operator


class LowRankInverse:
    r""":math:`[C + s B^T T B]^{-1}`, by the Woodbury identity.

    .. math::
        C^{-1} - C^{-1} B^T s T (I + s G T)^{-1} B C^{-1}, \qquad
        G = B C^{-1} B^T

    A part of the sum that is singular is left out of the inverse.

    Args:
        metric (Operator): :math:`C`, which has an inverse.
        factor (float): :math:`s`.
        rows (Basis): :math:`B`, k rows.
        small (Tensor): :math:`T`, symmetric, on the host, float64, shape
            ``(k, k)``.
        like (Vectors): A vector of the system.
        orthonormal (bool): Whether the rows are orthonormal.
    """

    def __init__(
        self,
        metric: Operator,
        factor: float,
        rows: Basis,
        small: Tensor,
        like: Vectors,
        orthonormal: bool,
    ) -> None:
        self._metric, self._rows = metric, rows
        weights = factor * small
        eye = torch.eye(len(weights), dtype=torch.float64)
        gram = (
            eye
            if orthonormal and isinstance(metric, Identity)
            else small_matrix(rows, lambda row: self._unscaled(row, like))
        )
        core = eye + gram @ weights
        # pinv refuses an empty matrix, and what is not finite.
        self._core = (
            weights @ torch.linalg.pinv(core, rtol=len(core) * 2.0**-52)
            if len(core) and bool(core.isfinite().all())
            else weights
        )

    def __call__(self, rhs: Vectors) -> Vectors:
        """The product with a vector, which is not changed."""
        # A copy: the inverse of the identity is the vector itself.
        x = self._unscaled(flatten(rhs), rhs)
        parts = self._core @ self._rows.dots(x).cpu()
        if not isinstance(self._metric, Identity):
            pulled = self._rows.add_to_(torch.zeros_like(x), parts)
            return unflatten(x - self._unscaled(pulled, rhs), rhs)
        return unflatten(self._rows.add_to_(x, -parts), rhs)

    def _unscaled(self, row: Tensor, like: Vectors) -> Tensor:
        """The inverse metric times a row."""
        if isinstance(self._metric, Identity):
            return row
        return flatten(self._metric.inverse(unflatten(row, like)))


def small_matrix(rows: Basis, operator: Callable[[Tensor], Tensor]) -> Tensor:
    """The products of all rows with an operator, within their span.

    Args:
        rows (Basis): k rows.
        operator (Callable): Maps a row of shape ``(n, )`` to another.

    Returns:
        Tensor: Shape ``(k, k)``, symmetric, on the host, float64.
    """
    columns = [rows.dots(operator(row)).cpu() for row in rows]
    if not columns:
        return torch.zeros(0, 0, dtype=torch.float64)
    found = torch.stack(columns)
    return (found + found.T) / 2
