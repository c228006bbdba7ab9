"""The unknowns of the linear system, and the way from v into it and back."""

from collections.abc import Sequence

import torch

from .linalg.vectors import Vectors


class Domain:
    r"""Some tensors of :math:`\theta_P`; for the others :math:`v_{IJ} = v`.

    Args:
        through (Sequence[bool]): For each tensor of :math:`\theta_P` whether
            it is one.
    """

    def __init__(self, through: Sequence[bool]) -> None:
        self.through = list(through)
        self.size = sum(self.through)

    def leaves(self, theta: Vectors) -> Vectors:
        r"""The unknowns among the tensors of a backbone, :math:`\theta_P` or
        :math:`\theta_D`.

        Args:
            theta (Vectors): One tensor a lower backbone parameter.
        """
        return tuple(t for t, inside in zip(theta, self.through, strict=True) if inside)

    def put(self, grad: Vectors) -> Vectors:
        """The right-hand side of the system.

        Args:
            grad (Vectors): ``v``, one tensor a lower backbone parameter.
        """
        return self.leaves(grad)

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


class WithHead(Domain):
    r"""Some tensors of :math:`\theta_P`, and the pretext head
    :math:`\phi_P`, of whose part of the solution nothing is taken.

    Args:
        through (Sequence[bool]): See :class:`Domain`.
        head (Vectors): :math:`\phi_P`.

    Source:
        Corollary 5.6 and 5.3.4 of the thesis.
    """

    def __init__(self, through: Sequence[bool], head: Vectors) -> None:
        super().__init__(through)
        self.head = head

    def put(self, grad: Vectors) -> Vectors:
        r""":math:`(v, 0)`."""
        return (*self.leaves(grad), *(torch.zeros_like(h) for h in self.head))
