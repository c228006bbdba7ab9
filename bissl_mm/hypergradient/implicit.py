"""From the downstream gradient to the implicit-Jacobian product."""

from collections.abc import Callable
from dataclasses import replace

from ..utils.check import check_non_negative
from ..utils.errors import ValueRefusal
from .domain import Domain
from .linalg.vectors import Vectors
from .operators.base import Identity, Operator, Sum
from .solvers.base import BoundSolver, Solution, with_true_residual


def implicit_operator(
    curvature: Operator,
    reg_weight: float,
    damping: float = 0.0,
    metric: Operator | None = None,
) -> Sum:
    r"""The operator :math:`C + \frac{1}{\lambda + \delta} H`.

    The damping is added to :math:`\lambda`. Tikhonov damping would instead give
    :math:`I + H/\lambda + (\delta/\lambda) I`, which is this operator times
    :math:`(\lambda + \delta)/\lambda`.

    Args:
        curvature (Operator): :math:`H`.
        reg_weight (float): :math:`\lambda`.
        damping (float): :math:`\delta`. Defaults to 0.
        metric (Operator, optional): :math:`C = \partial^2 r / \partial
            \theta_P^2`. Defaults to None: the identity, that of half the
            squared distance.

    Raises:
        ValueError: If :math:`\lambda + \delta` is not a positive number.

    Source:
        Algorithm 2 and Eq. (6), arXiv:2410.02387.
    """
    check_scale(reg_weight, damping)
    return (metric or Identity()) + 1.0 / (reg_weight + damping) * curvature


def implicit_jacobian_product(
    grad: Vectors,
    bound: BoundSolver,
    check_residual: bool = False,
    domain: Domain | None = None,
    cross: Callable[[Vectors], Vectors] | None = None,
) -> Solution:
    r"""The first term of the hypergradient, :math:`v_{IJ}`.

    .. math::
        v_{IJ} \approx \left[I + \tfrac{1}{\lambda + \delta}
        \nabla^2_{\theta_P} \mathcal{L}^P\right]^{-1} v, \qquad
        v = \nabla_{\theta} \mathcal{L}^D(\theta, \phi_D)|_{\theta=\theta_P}

    The whole hypergradient is :math:`v_{IJ}` plus the direct term, the
    gradient of the downstream loss at :math:`\theta_D`.

    Args:
        grad (Vectors): ``v``, one tensor per lower backbone parameter. It is
            the mean over ranks, and equal on all of them.
        bound (BoundSolver): Solves the systems of the operator in brackets,
            see :func:`implicit_operator`.
        check_residual (bool): Spend one more product on the true residual.
            Defaults to False.
        domain (Domain, optional): The unknowns; residual and curvature are
            those of their system. Defaults to None: all of ``grad``.
        cross (Callable, optional): Applied to the solution of all unknowns. It
            returns those of the backbone, see :meth:`Regularizer.cross`. Defaults
            to None: they are taken as they are.

    Returns:
        Solution: :math:`v_{IJ}` in ``value``; equal on all ranks. ``grad`` is
        not changed.

    Source:
        Eq. (6) and (7) and line 11 of Algorithm 1, arXiv:2410.02387.
    """
    domain = domain or Domain([True] * len(grad))
    rhs = domain.put(grad)
    solution = bound.solve(rhs)
    if check_residual:
        # The residual of the system itself, without rounded products.
        operator = bound.operator
        solution = with_true_residual(
            solution, getattr(operator, 'exact', operator), rhs
        )
    value = solution.value if cross is None else cross(solution.value)
    return replace(solution, value=domain.take(value, grad))


def check_scale(reg_weight: float, damping: float) -> None:
    """Raise a ``ValueError`` unless ``reg_weight + damping`` is usable.

    Args:
        reg_weight (float): Regularisation weight lambda, at least 0.
        damping (float): Damping delta, at least 0.
    """
    check_non_negative('BiSSL', 'lambda', reg_weight)
    check_non_negative('BiSSL', 'damping', damping)
    if reg_weight + damping <= 0:
        raise ValueRefusal(
            f'lambda (={reg_weight}) + damping (={damping}) is 0, but the '
            'Hessian is divided by this sum. Set regularizer.weight or '
            'hypergradient.damping above 0; the published values are 0.001 '
            'and 10.'
        )
