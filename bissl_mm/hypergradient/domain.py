"""The unknowns of the linear system, and the way from v into it and back."""

from collections.abc import Sequence

from .linalg.vectors import Vectors


class Domain:
    r"""Some tensors of :math:`\theta_P`; for the others :math:`v_{IJ} = v`.

    A system over other unknowns (with the pretext head, say) is another class
    with these two methods.

    Args:
        through (Sequence[bool]): For each tensor of :math:`\theta_P` whether
            it is one.
    """

    def __init__(self, through: Sequence[bool]) -> None:
        self.through = list(through)

    def put(self, grad: Vectors) -> Vectors:
        """The right-hand side of the system.

        Args:
            grad (Vectors): ``v``, one tensor a lower backbone parameter.
        """
        return tuple(g for g, inside in zip(grad, self.through, strict=True) if inside)

    def take(self, solution: Vectors, grad: Vectors) -> Vectors:
        r""":math:`v_{IJ}`, one tensor a lower backbone parameter.

        Args:
            solution (Vectors): Of the system.
            grad (Vectors): As for :meth:`put`; not changed.
        """
        values = iter(solution)
        return tuple(
            next(values) if inside else g.clone()
            for g, inside in zip(grad, self.through, strict=True)
        )
