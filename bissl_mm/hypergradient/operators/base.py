"""Symmetric linear maps, their sums and their properties."""

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch

from ...utils.errors import RuntimeRefusal
from ..linalg.vectors import Vectors, zeros_like

#: A solver needs a system's products and nothing else.
LinearOperator = Callable[[Vectors], Vectors]


class Operator(ABC):
    """A symmetric linear map on vectors.

    Operators can be added and take a factor: ``Identity() + 0.1 * curvature``.

    Attributes:
        is_positive_definite (bool): Whether this is known before any product.
            Defaults to False: not known.
    """

    is_positive_definite = False

    @abstractmethod
    def __call__(self, vectors: Vectors) -> Vectors:
        """The product; the argument is not changed."""

    def exact(self, vectors: Vectors) -> Vectors:
        """The product in the precision of the vectors. Other products may be
        computed in a lower one."""
        return self(vectors)

    def inverse(self, vectors: Vectors) -> Vectors:
        """The inverse times a vector, for those that have one.

        Raises:
            RuntimeError: If the operator has none in closed form.
        """
        raise RuntimeRefusal(
            f'{type(self).__name__}: LowRankSolver and IdentitySolver need the inverse '
            'of the second derivative of the regularizer, and this one has none. Set '
            "solver=dict(type='RecyclingSolver')."
        )

    def limit(self, vectors: Vectors) -> Vectors:
        """The solution of a system in which this operator is all that is left: that of
        the implicit Jacobian where lambda + damping is large.

        It is :meth:`inverse`, but 0 where the operator is 0. There the cross derivative,
        by which the solution is multiplied, is 0 as well.
        """
        return self.inverse(vectors)

    def close(self) -> None:  # noqa: B027
        """Free what is kept for products; there will be none. Most keep
        nothing."""

    def __rmul__(self, factor: float) -> 'Scaled':
        return Scaled(factor, self)

    def __add__(self, other: 'Scaled') -> 'Sum':
        return Sum(self, other)


class Identity(Operator):
    """The identity: a product is the vector itself, not a copy."""

    is_positive_definite = True

    def __call__(self, vectors: Vectors) -> Vectors:
        return vectors

    def inverse(self, vectors: Vectors) -> Vectors:
        """The vector itself, not a copy."""
        return vectors


class Scaled(Operator):
    """An operator times a number.

    Args:
        factor (float): The number.
        operator (Operator): The operator.
    """

    def __init__(self, factor: float, operator: Operator) -> None:
        self.factor, self.operator = factor, operator
        self.is_positive_definite = factor > 0 and operator.is_positive_definite

    def __call__(self, vectors: Vectors) -> Vectors:
        return tuple(torch._foreach_mul(list(self.operator(vectors)), self.factor))

    def exact(self, vectors: Vectors) -> Vectors:
        return tuple(
            torch._foreach_mul(list(self.operator.exact(vectors)), self.factor)
        )

    def inverse(self, vectors: Vectors) -> Vectors:
        """See :meth:`Operator.inverse`; the factor must not be 0."""
        found = self.operator.inverse(vectors)
        return tuple(torch._foreach_div(list(found), self.factor))

    def limit(self, vectors: Vectors) -> Vectors:
        if not self.factor:
            return zeros_like(vectors)
        found = self.operator.limit(vectors)
        return tuple(torch._foreach_div(list(found), self.factor))

    def close(self) -> None:
        self.operator.close()


class Sum(Operator):
    """``first + factor * second``.

    Args:
        first (Operator): For example the identity.
        second (Scaled): For example a curvature over lambda + delta.
    """

    def __init__(self, first: Operator, second: Scaled) -> None:
        self.first, self.second = first, second
        curvature = second.operator
        self.is_positive_definite = (
            first.is_positive_definite
            and second.factor >= 0
            and (
                curvature.is_positive_definite
                or getattr(curvature, 'is_positive_semidefinite', False)
            )
        )

    def __call__(self, vectors: Vectors) -> Vectors:
        return self._sum(self.first(vectors), self.second.operator(vectors))

    def exact(self, vectors: Vectors) -> Vectors:
        return self._sum(self.first.exact(vectors), self.second.operator.exact(vectors))

    def _sum(self, first: Vectors, second: Vectors) -> Vectors:
        return tuple(
            torch._foreach_add(list(first), list(second), alpha=self.second.factor)
        )

    def close(self) -> None:
        self.first.close()
        self.second.close()
