"""mmpretrain's losses as convex functions of outputs."""

from collections.abc import Callable
from functools import partial

from mmpretrain.models.losses import (
    CosineSimilarityLoss,
    CrossCorrelationLoss,
    CrossEntropyLoss,
    PixelReconstructionLoss,
)
from torch import Tensor, nn
from torch.nn.functional import normalize

from ...utils.errors import TypeRefusal

#: A function from a loss module's first argument to the outputs; and the loss,
#: which is convex in its first argument, the outputs.
ConvexForm = tuple[Callable[[Tensor], Tensor], Callable[..., Tensor]]


def convex_form(name: str, loss: nn.Module) -> ConvexForm:
    r"""Write a loss module as a convex function of outputs.

    - ``CrossEntropyLoss`` is convex in the logits.
    - ``PixelReconstructionLoss`` with ``criterion='L2'`` is convex in the
      prediction.
    - ``CrossCorrelationLoss`` is convex in the correlation matrix.
    - ``CosineSimilarityLoss`` is linear in the normalised prediction
      :math:`\hat p`, so it has no curvature in it. On the sphere, where
      :math:`\hat p` lies, it equals least squares, :math:`1 - \hat p \cdot
      \hat t = \frac12 \|\hat p - \hat t\|^2`. This form is used.

    Args:
        name (str): Name of the module, for the message.
        loss (nn.Module): A loss module of exactly one of these types.

    Returns:
        tuple: See :data:`ConvexForm`. The values are those of the module, up to
        rounding.

    Raises:
        TypeError: For any other loss, and for a negative weight in it.

    Source:
        arXiv:1412.1193, for the choice of the outputs.
    """
    kind = type(loss)
    if kind is CrossEntropyLoss and loss.loss_weight >= 0:
        return _as_given, loss.forward
    if kind is PixelReconstructionLoss and isinstance(loss.penalty, nn.MSELoss):
        return _as_given, loss.forward
    if kind is CrossCorrelationLoss and loss.lambd >= 0:
        return _as_given, loss.forward
    if kind is CosineSimilarityLoss and loss.scale_factor >= 0:
        return partial(normalize, dim=-1), partial(_on_the_sphere, loss)
    raise TypeRefusal(
        f"curvature='gauss_newton': the pretext model's {name} is "
        f'{" ".join(repr(loss).split())}. It is not known to be a convex '
        "function of its first argument. Known are mmpretrain's "
        'CrossEntropyLoss, PixelReconstructionLoss with criterion=L2, '
        'CrossCorrelationLoss and CosineSimilarityLoss with weights of at '
        'least 0. Use the Hessian: '
        "optim_wrapper.hypergradient.curvature='hessian'."
    )


def _as_given(argument: Tensor) -> Tensor:
    return argument


def _on_the_sphere(
    loss: CosineSimilarityLoss,
    output: Tensor,
    target: Tensor,
    mask: Tensor | None = None,
) -> Tensor:
    """The cosine loss as least squares, from ``(..., C)`` to a scalar."""
    distance = (output - normalize(target, dim=-1)).square().sum(dim=-1)
    value = loss.shift_factor - loss.scale_factor * (1 - 0.5 * distance)
    if mask is None:
        return value.mean()
    return (value * mask).sum() / mask.sum()
