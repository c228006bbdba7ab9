"""The hypergradient of BiSSL's upper level. Needs torch only.

Reading order: :mod:`implicit`, :mod:`layerwise_cg` and :mod:`cg`,
:mod:`hessian_operator`.
"""

from .ablation import DiscardSolver, IdentitySolver
from .cg import CGSolver
from .dense import DenseSolver, materialize
from .gauss_newton import GaussNewtonOperator
from .hessian_operator import HessianOperator, check_scale
from .implicit import implicit_jacobian_product
from .layerwise_cg import LayerwiseCGSolver
from .minres import MinresSolver
from .neumann import NeumannSolver
from .recycling import RecyclingSolver
from .solver import (LinearOperator, Solution, Solver, Status,
                     relative_residual)
from .truncated_cg import TruncatedCGSolver
from .vectors import Vectors

__all__ = [
    'CGSolver', 'DenseSolver', 'DiscardSolver', 'GaussNewtonOperator',
    'HessianOperator', 'IdentitySolver', 'LayerwiseCGSolver',
    'LinearOperator', 'MinresSolver', 'NeumannSolver', 'RecyclingSolver',
    'Solution', 'Solver', 'Status', 'TruncatedCGSolver', 'Vectors',
    'check_scale', 'implicit_jacobian_product', 'materialize',
    'relative_residual'
]
