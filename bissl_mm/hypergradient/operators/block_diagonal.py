"""An operator of two blocks of unknowns that are not coupled."""

import torch

from ..linalg.vectors import Vectors
from .base import Identity, Operator, Scaled


class BlockDiagonal(Operator):
    """An operator on the first tensors, and another one on the others.

    Args:
        first (Operator): Acts on the first ``size`` tensors.
        size (int): Number of these tensors.
        second (Operator | float): Acts on the others. A number is a factor, at
            least 0.
    """

    def __init__(self, first: Operator, size: int, second: Operator | float) -> None:
        if not isinstance(second, Operator):
            second = Scaled(second, Identity())
        self.first, self.size, self.second = first, size, second
        self.is_positive_definite = (
            first.is_positive_definite and second.is_positive_definite
        )

    def __call__(self, vectors: Vectors) -> Vectors:
        return (*self.first(vectors[: self.size]), *self.second(vectors[self.size :]))

    def exact(self, vectors: Vectors) -> Vectors:
        first, second = vectors[: self.size], vectors[self.size :]
        return (*self.first.exact(first), *self.second.exact(second))

    def inverse(self, vectors: Vectors) -> Vectors:
        """See :meth:`Operator.inverse`; that of each block."""
        first, second = vectors[: self.size], vectors[self.size :]
        return (*self.first.inverse(first), *self.second.inverse(second))

    def limit(self, vectors: Vectors) -> Vectors:
        first, second = vectors[: self.size], vectors[self.size :]
        return (*self.first.limit(first), *self.second.limit(second))

    def close(self) -> None:
        self.first.close()
        self.second.close()


class HeadBlock(Operator):
    r""":math:`d I + s \nabla^2_{\phi\phi} L`, of a loss
    :math:`L(\theta_D, \phi_P)` at the upper backbone.

    Args:
        curvature (Operator): The second derivative of the loss in
            :math:`(\theta_D, \phi_P)`.
        upper (Vectors): The tensors of :math:`\theta_D` in it, which come
            first.
        factor (float): :math:`s`.
        damping (float): :math:`d`.

    Source:
        Appendix G of the thesis, where :math:`d` is 0.
    """

    def __init__(
        self, curvature: Operator, upper: Vectors, factor: float, damping: float
    ) -> None:
        self.curvature, self.upper = curvature, upper
        self.factor, self.damping = factor, damping

    def __call__(self, vectors: Vectors) -> Vectors:
        return self._damped(self.curvature(self._padded(vectors)), vectors)

    def exact(self, vectors: Vectors) -> Vectors:
        return self._damped(self.curvature.exact(self._padded(vectors)), vectors)

    def mixed(self, vectors: Vectors) -> Vectors:
        r""":math:`s \nabla^2_{\theta\phi} L` times a vector of the head.

        Args:
            vectors (Vectors): One tensor per parameter of the head.

        Returns:
            Vectors: One tensor per tensor of ``upper``.
        """
        product = self.curvature(self._padded(vectors))[: len(self.upper)]
        return tuple(torch._foreach_mul(list(product), self.factor))

    def limit(self, vectors: Vectors) -> Vectors:
        # What is left when the factor, 1 / (lambda + damping), is small.
        return Scaled(self.damping, Identity()).limit(vectors)

    def close(self) -> None:
        self.curvature.close()

    def _padded(self, vectors: Vectors) -> Vectors:
        return (*(torch.zeros_like(u) for u in self.upper), *vectors)

    def _damped(self, product: Vectors, vectors: Vectors) -> Vectors:
        scaled = torch._foreach_mul(list(vectors), self.damping)
        return tuple(
            torch._foreach_add(
                scaled, list(product[len(self.upper) :]), alpha=self.factor
            )
        )
