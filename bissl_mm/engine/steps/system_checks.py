"""What a linear system can never work with, told before the head warm-up."""

from ...hypergradient import (
    BlockDiagonal,
    LowRankSolver,
    Solver,
    check_scale,
    implicit_operator,
)
from ...hypergradient.operators.base import Operator
from ...hypergradient.regularizers.base import Regularizer
from ...models.bissl_model import BiSSLModel
from ...utils.errors import ValueRefusal
from .params import select
from .settings import HypergradientSettings


class _Nothing(Operator):
    """Stands where a phase has a curvature; solvers look at it only in a solve."""

    def __call__(self, vectors):
        raise AssertionError('There is no phase.')


def check_system(
    settings: HypergradientSettings, solver: Solver, regularizer: Regularizer
) -> None:
    """Refuse settings that exclude each other.

    Args:
        settings (HypergradientSettings): Of the system.
        solver (Solver): Of the system.
        regularizer (Regularizer): Of the lower level.

    Raises:
        ValueError: For a direct solver of a system of differences, and for
            ``head_weight`` where lambda is learned.
    """
    check_scale(regularizer.weight, settings.damping)
    if settings.curvature == 'differences' and solver.is_direct:
        raise ValueRefusal(
            f'optim_wrapper.hypergradient: {type(solver).__name__} needs '
            "exact products, which curvature='differences' does not give. Set "
            "solver=dict(type='MinresSolver'), or curvature='hessian'."
        )
    if settings.head_weight and regularizer.named_parameters():
        raise ValueRefusal(
            'optim_wrapper.hypergradient: the gradient of a learned lambda is that '
            f'without head_weight, but head_weight is {settings.head_weight}. Set '
            "regularizer=dict(type='SquaredDistance'), or head_weight=0."
        )


def check_unknowns(
    settings: HypergradientSettings,
    solver: Solver,
    regularizer: Regularizer,
    model: BiSSLModel,
) -> None:
    """Refuse a system that does not suit a model.

    Args:
        settings (HypergradientSettings): Of the system.
        solver (Solver): Of the system.
        regularizer (Regularizer): Of the lower level; knows the model's tensors.
        model (BiSSLModel): Not changed.

    Raises:
        ValueError: If ``params`` names nothing, if a direct solver would have too many
            unknowns, or if it needs an inverse that there is not.
    """
    levels = model.levels
    taken = select(model.pretext, levels.lower_names, settings.params)
    lower = [p for p, is_taken in zip(levels.theta_p, taken, strict=True) if is_taken]
    upper = [p for p, is_taken in zip(levels.theta_d, taken, strict=True) if is_taken]
    head = levels.phi_p if settings.pretext_head else ()
    solver.check_size(sum(p.numel() for p in (*lower, *head)))
    if isinstance(solver, LowRankSolver):
        metric = regularizer.metric(lower, upper)
        if head:
            block = _Nothing() if settings.head_weight else settings.head_damping
            metric = BlockDiagonal(metric, len(lower), block)
        solver.bind(implicit_operator(_Nothing(), 1.0, metric=metric))


def check_every_scale(
    regularizer: Regularizer, alternations: int, damping: float
) -> None:
    """Refuse a schedule of lambda that ends with a division by zero.

    Args:
        regularizer (Regularizer): Of the lower level.
        alternations (int): T of the stage.
        damping (float): Of the system.

    Raises:
        ValueError: If lambda + damping is 0 in an alternation.
    """
    for index, weight in enumerate(regularizer.weights(alternations)):
        if weight + damping <= 0:
            raise ValueRefusal(
                f'optim_wrapper.regularizer: in alternation {index + 1} of '
                f'{alternations} lambda (={weight:g}) + damping (={damping:g}) is 0, '
                'but the Hessian is divided by this sum. Set the lowest weight of the '
                'schedule or hypergradient.damping above 0.'
            )
