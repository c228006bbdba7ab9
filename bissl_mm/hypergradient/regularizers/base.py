r"""The term that ties the two backbones, :math:`\lambda r`.

The lower level minimises :math:`\mathcal{L}^P(\theta_P) + \lambda
r(\theta_P, \theta_D)`. At its solution :math:`\nabla \mathcal{L}^P + \lambda
\nabla_{\theta_P} r = 0`. The derivative of this condition in :math:`\theta_D`
gives the implicit Jacobian. A regularizer provides what both need, and no other
place knows its form.
"""

import copy
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ...utils.check import check_keys, check_non_negative
from ..linalg.vectors import Vectors
from ..operators.base import Identity, Operator


class Pull(NamedTuple):
    r"""What a lower step logs of its regularizer, as tensors of one number.

    ``value`` is :math:`\lambda r`, ``distance`` :math:`\|\theta_P -
    \theta_D\|`, ``length`` the norm of :math:`\lambda \nabla_{\theta_P} r`.
    """

    value: Tensor
    distance: Tensor
    length: Tensor


class Regularizer(ABC):
    r""":math:`\lambda r(\theta_P, \theta_D)`.

    A subclass defines :meth:`add_gradient_`. If its second derivatives are not
    those of half the squared distance, it also defines :meth:`metric` and
    :meth:`cross`. If its weight changes, it sets the weight in
    :meth:`begin_alternation`, as a function of the arguments alone. A resumed
    run then has the same weight.

    Args:
        weight (float): :math:`\lambda`, at least 0. Defaults to 0.001.

    Attributes:
        weight (float): :math:`\lambda` of the present alternation.
        has_constant_metric (bool): Whether the second derivatives are the same
            everywhere. If not, every upper step solves a system of its own.
        uncounted (str): A sentence about what :meth:`shares` leaves out of R, see
            :mod:`bissl_mm.engine.steps.relaxation`; empty if nothing.
    """

    has_constant_metric = True
    uncounted = ''

    def __init__(self, weight: float = 0.001) -> None:
        check_non_negative('regularizer', 'weight', weight)
        self.weight = weight

    def tie(self, names: Sequence[str], lower: Sequence[Tensor]) -> None:  # noqa: B027
        r"""Learn the names of the tensors. Most do not ask for them.

        Args:
            names (Sequence[str]): Of :math:`\theta_P` in the pretext model.
            lower (Sequence[Tensor]): :math:`\theta_P`, the very tensors that the
                other methods get, or some of them.
        """

    def begin_alternation(self, index: int, total: int) -> None:  # noqa: B027
        """Set a weight that changes, before the steps of an alternation.

        Args:
            index (int): Number of the alternation, from 0.
            total (int): Number of alternations T.
        """

    def weights(self, total: int) -> list[float]:
        r""":math:`\lambda` of every alternation. The regularizer itself does
        not change.

        Args:
            total (int): Number of alternations T.
        """
        walked, found = copy.copy(self), []
        for index in range(total):
            walked.begin_alternation(index, total)
            found.append(walked.weight)
        return found

    def scaled(self, factor: float) -> dict[str, float]:
        """Settings, and their values, that make the weight ``factor`` times as
        large in every alternation."""
        return {'weight': self.weight * factor}

    def shares(self, lower: Sequence[Tensor]) -> list[float]:
        """How strongly each tensor is tied, relative to the weight. Defaults to
        1 for all."""
        return [1.0] * len(lower)

    @abstractmethod
    def add_gradient_(
        self, grads: Sequence[Tensor], lower: Sequence[Tensor], upper: Sequence[Tensor]
    ) -> Pull:
        r"""Add :math:`\lambda \nabla_{\theta_P} r` to ``grads``, in place.

        Args:
            grads (Sequence[Tensor]): Gradients of the pretext loss.
            lower (Sequence[Tensor]): :math:`\theta_P`, same shapes.
            upper (Sequence[Tensor]): :math:`\theta_D`, same shapes.
        """

    def metric(self, lower: Sequence[Tensor], upper: Sequence[Tensor]) -> Operator:
        r"""The operator :math:`\partial^2 r / \partial \theta_P^2` on the
        unknowns. Defaults to the identity."""
        return Identity()

    def cross(
        self, vectors: Vectors, lower: Sequence[Tensor], upper: Sequence[Tensor]
    ) -> Vectors:
        r"""The solution times :math:`-(\partial^2 r / \partial \theta_P
        \partial \theta_D)^T`. Defaults to the solution itself."""
        return vectors

    def named_parameters(self) -> list[tuple[str, nn.Parameter]]:
        """What the upper level's optimizer trains of it; most have nothing."""
        return []

    def param_group(self) -> dict[str, Any]:
        """Settings of the optimizer for :meth:`named_parameters`."""
        return {}

    def upper_gradients(
        self, lower: Sequence[Tensor], upper: Sequence[Tensor], solution: Vectors
    ) -> dict[str, Tensor]:
        r"""Gradients of the upper level's first term in
        :meth:`named_parameters`, by their names.

        Args:
            lower (Sequence[Tensor]): :math:`\theta_P`.
            upper (Sequence[Tensor]): :math:`\theta_D`, same shapes.
            solution (Vectors): :math:`v_{IJ}`, same shapes.
        """
        return {}

    def stepped(self) -> None:  # noqa: B027
        """An optimizer has changed :meth:`named_parameters`. Most have none."""

    def state_dict(self) -> dict[str, Tensor]:
        """Values of :meth:`named_parameters`."""
        return {k: p.detach().clone() for k, p in self.named_parameters()}

    @torch.no_grad()
    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Take up what :meth:`state_dict` gave."""
        for name, param in self.named_parameters():
            param.copy_(state[name])

    def settings(self) -> dict[str, Any]:
        """The settings; a resumed run that changes one says so."""
        return dict(
            type=type(self).__name__,
            **{k: v for k, v in vars(self).items() if not k.startswith('_')},
        )


@check_keys
class SquaredDistance(Regularizer):
    r""":math:`r = \frac{1}{2} \|\theta_P - \theta_D\|_2^2`.

    Its gradient is known and is added directly. Automatic differentiation would
    take one more pass over all weights at every lower step.

    Args:
        weight (float): :math:`\lambda`. Defaults to 0.001, the published
            value.

    Source:
        Eq. (3) and 4.2.2, arXiv:2410.02387.
    """

    def __init__(self, weight: float = 0.001) -> None:
        super().__init__(weight)

    @torch.no_grad()
    def add_gradient_(
        self, grads: Sequence[Tensor], lower: Sequence[Tensor], upper: Sequence[Tensor]
    ) -> Pull:
        if lower[0].is_cuda:
            # On a GPU, few large kernels are fastest.
            differences = torch._foreach_sub(list(lower), list(upper))
            torch._foreach_add_(list(grads), differences, alpha=self.weight)
            norms = torch._foreach_norm(differences)
        else:
            # On a processor, each difference stays in the cache.
            norms = []
            for grad, p, d in zip(grads, lower, upper, strict=True):
                difference = p - d
                grad.add_(difference, alpha=self.weight)
                norms.append(torch.linalg.vector_norm(difference))
        distance = torch.linalg.vector_norm(torch.stack(norms))
        return Pull(
            0.5 * self.weight * distance.square(), distance, self.weight * distance
        )
