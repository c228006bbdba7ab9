"""From the downstream gradient to the implicit-Jacobian product."""

from dataclasses import replace
from typing import Optional, Sequence

from .solvers.base import LinearOperator, Solution, Solver, with_true_residual
from .linalg.vectors import Vectors


def implicit_jacobian_product(grad: Vectors,
                              operator: LinearOperator,
                              solver: Solver,
                              check_residual: bool = False,
                              through: Optional[Sequence[bool]] = None
                              ) -> Solution:
    r"""The first term of the hypergradient, :math:`v_{IJ}`.

    .. math::
        v_{IJ} \approx \left[I + \tfrac{1}{\lambda + \delta}
        \nabla^2_{\theta_P} \mathcal{L}^P\right]^{-1} v, \qquad
        v = \nabla_{\theta} \mathcal{L}^D(\theta, \phi_D)|_{\theta=\theta_P}

    The whole hypergradient is :math:`v_{IJ}` plus the direct term, the
    gradient of the downstream loss at :math:`\theta_D`.

    Args:
        grad (Vectors): ``v``, one tensor a lower backbone parameter; the mean
            over ranks, equal on all of them.
        operator (LinearOperator): The operator in brackets, see
            :class:`HessianOperator`.
        solver (Solver): Solves the system.
        check_residual (bool): Spend one more product on the true residual.
            Defaults to False.
        through (Sequence[bool], optional): Tensors of ``grad`` that the
            operator acts on; for the others :math:`v_{IJ} = v`. Residual and
            curvature are those of the smaller system. Defaults to None: all.

    Returns:
        Solution: :math:`v_{IJ}` in ``value``; equal on all ranks. ``grad`` is
        not changed.

    Source:
        Eq. (6) and (7) and line 11 of Algorithm 1, arXiv:2410.02387.
    """
    if through is None:
        through = [True] * len(grad)
    rhs = tuple(g for g, inside in zip(grad, through, strict=True) if inside)
    solution = solver.solve(operator, rhs)
    if check_residual:
        # Of the system itself, not of one with rounded products.
        solution = with_true_residual(
            solution, getattr(operator, 'exact', operator), rhs)
    values = iter(solution.value)
    return replace(solution, value=tuple(
        next(values) if inside else g.clone()
        for g, inside in zip(grad, through)))
