"""What a system's solution tends to where lambda + damping is large."""

import torch
from torch import Tensor

from ...utils.errors import RuntimeRefusal
from ..linalg.vectors import Vectors, clone, dot, subtract
from ..operators.base import LinearOperator, Sum


def limit(operator: LinearOperator, rhs: Vectors) -> Vectors:
    """The solution in the limit of a large lambda + damping.

    Args:
        operator (LinearOperator): What remains of a :class:`Sum` is its first operator,
            and of others nothing is known: the identity is taken.
        rhs (Vectors): The right-hand side; not changed.

    Raises:
        RuntimeError: If that operator has no inverse in closed form.
    """
    return clone(operator.first.limit(rhs) if isinstance(operator, Sum) else rhs)


def fall_back(
    operator: LinearOperator, rhs: Vectors, product: Vectors
) -> tuple[Vectors, Tensor, int]:
    """The limit, for a solve whose first direction has negative curvature.

    Args:
        operator (LinearOperator): See :func:`limit`.
        rhs (Vectors): The right-hand side; not changed.
        product (Vectors): The operator times it.

    Returns:
        tuple: The solution, the square of its residual's norm, and how many products
        this took: none where the solution is the right-hand side.
    """
    try:
        x = limit(operator, rhs)
    except RuntimeRefusal:
        # An operator from outside that has no inverse in closed form.
        x = clone(rhs)
    is_same = all(torch.equal(a, b) for a, b in zip(x, rhs, strict=True))
    rest = subtract(rhs, product if is_same else operator(x))
    return x, dot(rest, rest), int(not is_same)
