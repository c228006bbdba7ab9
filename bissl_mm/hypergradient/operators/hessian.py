"""The Hessian of the pretext loss, Algorithm 2."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from ..linalg.vectors import Vectors
from ..second_order.torch_layers import check_derivatives, derived_twice
from .curvature import Curvature


class Hessian(Curvature):
    r"""The map :math:`v \mapsto H v`, by two backward passes.

    :math:`H` is the Hessian of the pretext loss in the parameters
    :math:`\theta_P` of the lower backbone. The head :math:`\phi_P` is fixed. The
    gradient of each batch is kept with its graph.

    Args:
        closures (Sequence[Callable[[], Tensor]]): Each returns the scalar
            loss of a batch. The loss may contain derivatives (a gradient
            penalty, ``torch.func``).
        params (Sequence[Tensor]): See :class:`Curvature` for this and all
            other arguments.

    Source:
        Algorithm 2, arXiv:2410.02387 (TMLR version).
    """

    _closures: Sequence[Callable[[], Tensor]]

    @derived_twice()
    def _gradient(self, index: int) -> Any:
        """Of one batch, with its graph, in the form _product takes it."""
        with torch.enable_grad():
            with self._layers:
                loss = self._closures[index]()
            if index not in self._losses:
                check_derivatives(loss)
            self._losses[index] = loss.detach()
            return torch.autograd.grad(
                loss, self.params, create_graph=True, allow_unused=True
            )

    @derived_twice()
    def _product(self, gradient: Any, vectors: Vectors) -> Sequence[Tensor | None]:
        """The product of one batch; None, or nothing at all, is zero."""
        # A gradient that does not depend on the parameters (None, or a
        # constant) has a zero row in the Hessian.
        rows = [
            (g, v)
            for g, v in zip(gradient, vectors, strict=True)
            if g is not None and g.requires_grad
        ]
        if not rows:
            return ()
        return torch.autograd.grad(
            [g for g, _ in rows],
            self.params,
            [v for _, v in rows],
            retain_graph=self._gradients is not None,
            allow_unused=True,
        )
