"""The hypergradient of BiSSL's upper level. Needs torch only.

Reading order: :mod:`implicit`, :mod:`solvers.layerwise_cg` and
:mod:`solvers.cg`, :mod:`operators.hessian`.
"""

from .solvers.baselines import DiscardSolver, IdentitySolver
from .solvers.cg import CGSolver
from .solvers.dense import DenseSolver, materialize
from .operators.gauss_newton import GaussNewtonOperator
from .operators.hessian import HessianOperator, check_scale
from .implicit import implicit_jacobian_product
from .solvers.layerwise_cg import LayerwiseCGSolver
from .solvers.minres import MinresSolver
from .solvers.neumann import NeumannSolver
from .solvers.recycling import RecyclingSolver
from .solvers.base import (LinearOperator, Solution, Solver, Status,
                     relative_residual)
from .solvers.truncated_cg import TruncatedCGSolver
from .linalg.vectors import Vectors

__all__ = [
    'CGSolver', 'DenseSolver', 'DiscardSolver', 'GaussNewtonOperator',
    'HessianOperator', 'IdentitySolver', 'LayerwiseCGSolver',
    'LinearOperator', 'MinresSolver', 'NeumannSolver', 'RecyclingSolver',
    'Solution', 'Solver', 'Status', 'TruncatedCGSolver', 'Vectors',
    'check_scale', 'implicit_jacobian_product', 'materialize',
    'relative_residual'
]
