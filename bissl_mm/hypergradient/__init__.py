"""The hypergradient of BiSSL's upper level. Needs torch only.

Reading order: :mod:`implicit`, :mod:`solvers.layerwise_cg` and
:mod:`solvers.cg`, :mod:`operators.base`, :mod:`operators.hessian`.
"""

from .domain import Domain, WithHead
from .implicit import check_scale, implicit_jacobian_product, implicit_operator
from .linalg.vectors import Vectors
from .operators.base import Identity, LinearOperator, Operator, Sum
from .operators.block_diagonal import BlockDiagonal, HeadBlock
from .operators.curvature import Curvature
from .operators.diagonal import Diagonal
from .operators.differences import Differences
from .operators.fisher import Fisher
from .operators.gauss_newton import GaussNewton
from .operators.hessian import Hessian
from .regularizers.base import Regularizer, SquaredDistance
from .regularizers.fisher import FisherDistance
from .regularizers.learned import LearnedDistance
from .regularizers.scheduled import ScheduledDistance
from .regularizers.weighted import ElasticDistance, WeightedDistance
from .solvers.base import BoundSolver, Solution, Solver, Status, relative_residual
from .solvers.baselines import DiscardSolver, IdentitySolver
from .solvers.cg import CGSolver
from .solvers.dense import DenseSolver, materialize
from .solvers.layerwise_cg import LayerwiseCGSolver
from .solvers.low_rank import LowRankSolver
from .solvers.minres import MinresSolver
from .solvers.neumann import NeumannSolver
from .solvers.recycling import RecyclingSolver
from .solvers.truncated_cg import TruncatedCGSolver

__all__ = [
    'BlockDiagonal',
    'BoundSolver',
    'CGSolver',
    'Curvature',
    'DenseSolver',
    'DiscardSolver',
    'Diagonal',
    'Differences',
    'Domain',
    'ElasticDistance',
    'Fisher',
    'FisherDistance',
    'GaussNewton',
    'HeadBlock',
    'Hessian',
    'Identity',
    'IdentitySolver',
    'LayerwiseCGSolver',
    'LearnedDistance',
    'LinearOperator',
    'LowRankSolver',
    'MinresSolver',
    'NeumannSolver',
    'Operator',
    'RecyclingSolver',
    'Regularizer',
    'ScheduledDistance',
    'Solution',
    'Solver',
    'SquaredDistance',
    'Status',
    'Sum',
    'TruncatedCGSolver',
    'Vectors',
    'WeightedDistance',
    'WithHead',
    'check_scale',
    'implicit_jacobian_product',
    'implicit_operator',
    'materialize',
    'relative_residual',
]
