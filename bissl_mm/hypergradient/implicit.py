"""From the downstream gradient to the implicit-Jacobian product."""

from .solver import LinearOperator, Solution, Solver, with_true_residual
from .vectors import Vectors


def implicit_jacobian_product(grad: Vectors,
                              operator: LinearOperator,
                              solver: Solver,
                              check_residual: bool = False) -> Solution:
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

    Returns:
        Solution: :math:`v_{IJ}` in ``value``; equal on all ranks. ``grad`` is
        not changed.

    Source:
        Eq. (6) and (7) and line 11 of Algorithm 1, arXiv:2410.02387.
    """
    solution = solver.solve(operator, grad)
    if check_residual:
        solution = with_true_residual(solution, operator, grad)
    return solution
