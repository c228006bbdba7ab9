"""A diagonal matrix."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ..linalg.vectors import Vectors
from .base import Operator


class Diagonal(Operator):
    """Multiplies each value of a vector by its own factor.

    Args:
        values (Sequence[Tensor | float]): The factors: for each tensor of the
            vectors a number, or a tensor of its shape.
        is_positive_definite (bool): Whether all factors are above 0.
    """

    def __init__(
        self, values: Sequence[Tensor | float], is_positive_definite: bool
    ) -> None:
        self.values = values
        self.is_positive_definite = is_positive_definite

    def __call__(self, vectors: Vectors) -> Vectors:
        return tuple(d * v for d, v in zip(self.values, vectors, strict=True))

    def inverse(self, vectors: Vectors) -> Vectors:
        """See :meth:`Operator.inverse`; no factor may be 0."""
        return tuple(v / d for d, v in zip(self.values, vectors, strict=True))

    def limit(self, vectors: Vectors) -> Vectors:
        return tuple(
            torch.where(d == 0, torch.zeros_like(v), v / d)
            if torch.is_tensor(d)
            else (v / d if d else torch.zeros_like(v))
            for d, v in zip(self.values, vectors, strict=True)
        )
