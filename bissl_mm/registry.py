"""Registries of the package, children of mmengine's.

``SOLVERS`` and ``REGULARIZERS`` are the package's own. Their classes are
registered here, because ``hypergradient/`` does not import mmengine.
"""

import mmengine.registry as mmengine_registry
from mmengine.registry import Registry

from .hypergradient import (
    CGSolver,
    DenseSolver,
    DiscardSolver,
    ElasticDistance,
    FisherDistance,
    IdentitySolver,
    LayerwiseCGSolver,
    LearnedDistance,
    LowRankSolver,
    MinresSolver,
    NeumannSolver,
    RecyclingSolver,
    Regularizer,
    ScheduledDistance,
    Solver,
    SquaredDistance,
    TruncatedCGSolver,
    WeightedDistance,
)
from .utils.errors import TypeRefusal

_SCOPE = 'bissl_mm'


def _child(name: str, *locations: str) -> Registry:
    parent = getattr(mmengine_registry, name)
    return Registry(parent.name, parent=parent, scope=_SCOPE, locations=list(locations))


MODELS = _child('MODELS', 'bissl_mm.models', 'bissl_mm.text')
MODEL_WRAPPERS = _child('MODEL_WRAPPERS', 'bissl_mm.engine')
LOOPS = _child('LOOPS', 'bissl_mm.engine')
HOOKS = _child('HOOKS', 'bissl_mm.engine')
OPTIM_WRAPPERS = _child('OPTIM_WRAPPERS', 'bissl_mm.engine')
OPTIM_WRAPPER_CONSTRUCTORS = _child('OPTIM_WRAPPER_CONSTRUCTORS', 'bissl_mm.engine')
OPTIMIZERS = _child('OPTIMIZERS', 'bissl_mm.engine')
DATASETS = _child('DATASETS', 'bissl_mm.datasets', 'bissl_mm.text')
DATA_SAMPLERS = _child('DATA_SAMPLERS', 'bissl_mm.datasets')
TRANSFORMS = _child('TRANSFORMS', 'bissl_mm.datasets')
METRICS = _child('METRICS', 'bissl_mm.evaluation', 'bissl_mm.text')

# The package registers nothing in these. Without a child in its scope,
# mmengine would warn at every look-up.
for _name in (
    'EVALUATOR',
    'FUNCTIONS',
    'LOG_PROCESSORS',
    'PARAM_SCHEDULERS',
    'RUNNERS',
    'RUNNER_CONSTRUCTORS',
    'VISBACKENDS',
    'VISUALIZERS',
    'WEIGHT_INITIALIZERS',
):
    _child(_name)

SOLVERS = Registry('solver', scope=_SCOPE)
for _solver in (
    CGSolver,
    DenseSolver,
    DiscardSolver,
    IdentitySolver,
    LayerwiseCGSolver,
    LowRankSolver,
    MinresSolver,
    NeumannSolver,
    RecyclingSolver,
    TruncatedCGSolver,
):
    SOLVERS.register_module(module=_solver)


REGULARIZERS = Registry('regularizer', scope=_SCOPE)
for _regularizer in (
    SquaredDistance,
    ScheduledDistance,
    LearnedDistance,
    WeightedDistance,
    ElasticDistance,
    FisherDistance,
):
    REGULARIZERS.register_module(module=_regularizer)


def build_regularizer(cfg) -> Regularizer:
    """Build the regularizer of the lower level from its config.

    Args:
        cfg (dict or Regularizer, optional): For example
            ``dict(weight=0.001)``. The default type is ``SquaredDistance``.

    Raises:
        TypeError: If ``cfg`` is neither a dict nor a regularizer.
        KeyError: If the type is not registered.
    """
    if isinstance(cfg, Regularizer):
        return cfg
    if not isinstance(cfg, dict):
        raise TypeRefusal(
            'optim_wrapper.regularizer must be a dict or a Regularizer, but is '
            f"{cfg!r}. Write dict(type='SquaredDistance', weight=0.001)."
        )
    return REGULARIZERS.build({'type': 'SquaredDistance', '_scope_': _SCOPE, **cfg})


def build_solver(cfg) -> Solver:
    """Build a solver of the linear system from its config.

    Args:
        cfg (dict or Solver): For example ``dict(type='CGSolver')``.

    Raises:
        TypeError: If ``cfg`` is neither a dict nor a solver.
        KeyError: If the type is not registered.
    """
    if isinstance(cfg, Solver):
        return cfg
    if not isinstance(cfg, dict):
        raise TypeRefusal(
            'optim_wrapper.hypergradient.solver must be a dict or a Solver, but is '
            f"{cfg!r}. Write dict(type='CGSolver')."
        )
    return SOLVERS.build({'_scope_': _SCOPE, **cfg})
