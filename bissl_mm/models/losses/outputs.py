"""Losses as functions of the outputs in which they are convex."""

from collections.abc import Callable
from contextlib import ExitStack

from mmengine.model import BaseModel
from torch import Tensor, nn

from ...utils.errors import TypeRefusal
from ...utils.replaced import replaced
from .convex_losses import ConvexForm, convex_form
from .functional import pure_forward

Tensors = tuple[Tensor, ...]


def convex_losses(pretext: BaseModel) -> list[tuple[nn.Module, ConvexForm]]:
    """The loss modules of a pretext model, each with its convex form.

    Args:
        pretext (BaseModel): Its heads have their losses as ``loss_module``, as
            those of mmpretrain.

    Returns:
        list[tuple]: One pair per loss module.

    Raises:
        TypeError: If there is none, or one is not known to be convex.
    """
    found: list[tuple[nn.Module, ConvexForm]] = [
        (module, convex_form(name, module))
        for name, module in pretext.named_modules()
        if name.rpartition('.')[2] == 'loss_module'
    ]
    if not found:
        raise TypeRefusal(
            "curvature='gauss_newton': the pretext model "
            f'{type(pretext).__name__} has no loss_module, so its loss '
            'cannot be cut into outputs. Use the Hessian: '
            'optim_wrapper.hypergradient.curvature='
            "'hessian'."
        )
    return found


def pretext_outputs_closure(
    pretext: BaseModel, data: dict, seed: int
) -> Callable[[], tuple[Tensors, Tensors, Tensor]]:
    """The pretext loss on one fixed batch, cut into convex losses of outputs.

    Each call of a loss module is cut at its first argument. The rest of the
    forward pass continues from a leaf. The weights and sums that the model
    applies to its losses are therefore part of the loss of the leaves.

    Args:
        pretext (BaseModel): The pretext model. The closure is a function of its
            parameters at the time of the call.
        data (dict): A batch from the model's data preprocessor.
        seed (int): Seed of the random draws of the loss (masks, drop path).

    Returns:
        Callable[[], tuple]: It returns ``(outputs, leaves, loss)`` as
        :class:`bissl_mm.hypergradient.GaussNewton` needs them: one output and
        one leaf for each call of a loss module, and the scalar loss of this
        rank. Like
        :func:`bissl_mm.models.losses.functional.pretext_closure` it changes
        nothing and repeats bit for bit.

    Raises:
        TypeError: See :func:`convex_losses`.
    """
    losses = convex_losses(pretext)

    def closure() -> tuple[Tensors, Tensors, Tensor]:
        cuts: list[tuple[Tensor, Tensor]] = []
        with ExitStack() as stack:
            stack.enter_context(pure_forward(pretext, seed))
            for module, form in losses:
                stack.enter_context(replaced(module, 'forward', _cutting(form, cuts)))
            loss = pretext.parse_losses(pretext(**data, mode='loss'))[0]
        return (
            tuple(output for output, _ in cuts),
            tuple(leaf for _, leaf in cuts),
            loss,
        )

    return closure


def _cutting(
    form: ConvexForm, cuts: list[tuple[Tensor, Tensor]]
) -> Callable[..., Tensor]:
    """The forward of a loss module that records its outputs and cuts there."""
    output_of, loss_of = form

    def forward(argument: Tensor, *args, **kwargs) -> Tensor:
        output = output_of(argument)
        leaf = output.detach().requires_grad_()
        cuts.append((output, leaf))
        # Some losses change their argument in place, so they get a copy.
        return loss_of(leaf.clone(), *args, **kwargs)

    return forward
