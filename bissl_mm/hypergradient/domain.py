"""The unknowns of the linear system, and the way from v into it and back."""

from collections.abc import Sequence

from .linalg.vectors import Vectors


class Domain:
    r"""Some tensors of :math:`\theta_P` are the unknowns. For the others
    :math:`v_{IJ} = v`.

    Args:
        through (Sequence[bool]): For each tensor of :math:`\theta_P`, whether
            it is an unknown.
    """

    def __init__(self, through: Sequence[bool]) -> None:
        self.through = list(through)
        self.size = sum(self.through)

    def leaves(self, theta: Vectors) -> Vectors:
        r"""The unknowns among the tensors of a backbone, :math:`\theta_P` or
        :math:`\theta_D`.

        Args:
            theta (Vectors): One tensor per lower backbone parameter.
        """
        return tuple(t for t, inside in zip(theta, self.through, strict=True) if inside)

    def put(self, grad: Vectors) -> Vectors:
        """The right-hand side of the system.

        Args:
            grad (Vectors): ``v``, one tensor per lower backbone parameter.
        """
        return self.leaves(grad)

    def take(self, solution: Vectors, grad: Vectors) -> Vectors:
        r""":math:`v_{IJ}`, one tensor per lower backbone parameter.

        Args:
            solution (Vectors): The solution of the system.
            grad (Vectors): As for :meth:`put`; not changed.
        """
        values = iter(solution)
        return tuple(
            next(values) if inside else g.clone()
            for g, inside in zip(grad, self.through, strict=True)
        )


class WithHead(Domain):
    r"""Some tensors of :math:`\theta_P` and the pretext head :math:`\phi_P`
    are the unknowns.

    Args:
        through (Sequence[bool]): See :class:`Domain`.
        head (Vectors): The parameters :math:`\phi_P`.
        weight (float): :math:`\mu` of the upper level's term
            :math:`\frac{\mu}{2} \|\phi_P\|^2`. Defaults to 0: no such term,
            and the head's part of the solution is not used.

    Source:
        Corollary 5.6, 5.3.4 and Appendix G of the thesis.
    """

    def __init__(
        self, through: Sequence[bool], head: Vectors, weight: float = 0.0
    ) -> None:
        super().__init__(through)
        self.head, self.weight = head, weight

    def put(self, grad: Vectors) -> Vectors:
        r"""The right-hand side :math:`(v, \mu \phi_P)`."""
        return (*self.leaves(grad), *(self.weight * h.detach() for h in self.head))
