"""An operator of two blocks of unknowns that are not coupled."""

from ..linalg.vectors import Vectors
from .base import Operator


class BlockDiagonal(Operator):
    """An operator on the first tensors, and a factor on the others.

    Args:
        first (Operator): Acts on the first ``size`` tensors.
        size (int): Number of these tensors.
        factor (float): Factor of the others, at least 0.
    """

    def __init__(self, first: Operator, size: int, factor: float) -> None:
        self.first, self.size, self.factor = first, size, factor
        self.is_positive_definite = first.is_positive_definite and factor > 0

    def __call__(self, vectors: Vectors) -> Vectors:
        return self._join(self.first(vectors[: self.size]), vectors)

    def exact(self, vectors: Vectors) -> Vectors:
        return self._join(self.first.exact(vectors[: self.size]), vectors)

    def _join(self, first: Vectors, vectors: Vectors) -> Vectors:
        return (*first, *(self.factor * v for v in vectors[self.size :]))

    def close(self) -> None:
        self.first.close()
