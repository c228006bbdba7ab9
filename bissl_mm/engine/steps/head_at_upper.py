"""The pretext loss at theta_D, whose head the upper level regularizes."""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from ...models.bissl_model import BiSSLModel
from ...models.losses.functional import PretextLossWithState
from .gradients import Gradients, gradient_of, part_seed


def losses_at_upper(
    model: BiSSLModel, parts: Sequence[dict], seed: int, derived_twice: bool
) -> list[PretextLossWithState]:
    r""":math:`\mathcal{L}^P(\theta_D, \phi_P)`, one function for each part of a
    batch.

    Args:
        model (BiSSLModel): The functions are of its parameters at the time of
            a call.
        parts (Sequence[dict]): From :meth:`FirstOrder.prepare`.
        seed (int): Seed of the random draws; each part gets its own from it.
        derived_twice (bool): Whether second derivatives are asked for.

    Source:
        Appendix G of the thesis.
    """
    return [
        PretextLossWithState(
            model.pretext,
            data,
            part_seed(seed, i),
            derived_twice,
            partial(BiSSLModel.lower_state_at_upper, model),
        )
        for i, data in enumerate(parts)
    ]


def add_head_gradient_(
    grads: Gradients, model: BiSSLModel, parts: Sequence[dict], seed: int
) -> dict[str, Tensor]:
    r"""Add the gradient of :math:`\mathcal{L}^P(\theta_D, \phi_P)` in
    :math:`\phi_P`.

    Args:
        grads (dict[str, Tensor]): By the pretext model's names; changed.
        model (BiSSLModel): Not changed.
        parts (Sequence[dict]): From :meth:`FirstOrder.prepare`.
        seed (int): Seed of the random draws.

    Returns:
        dict[str, Tensor]: ``pretext_loss_at_upper``, the mean over the parts.
    """
    head = model.levels.phi_p
    own = {id(p): n for n, p in model.pretext.named_parameters()}
    places = [grads[own[id(p)]] for p in head]
    losses = []
    for closure in losses_at_upper(model, parts, seed, derived_twice=False):
        with closure.held():
            loss = closure()
            found = gradient_of(loss / len(parts), head)
        torch._foreach_add_(places, found)
        losses.append(loss.detach())
    return dict(pretext_loss_at_upper=torch.stack(losses).mean())
