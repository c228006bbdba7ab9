"""The Hessian of a smooth pretext loss, by differences of gradients."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor

from ...utils.check import check_non_negative
from ...utils.errors import ValueRefusal
from ..linalg.vectors import Vectors, norm
from .curvature import Curvature

#: Length of the displacement, relative to the norm of the parameters. In single
#: precision, a smaller one makes the rounding of the gradient larger, and a
#: larger one the error of the third derivative.
STEP = 1e-5


class Differences(Curvature):
    r"""The map :math:`v \mapsto \frac{g(\theta + \epsilon v / \|v\|) -
    g(\theta)}{\epsilon} \|v\|` with :math:`g` the gradient of the loss.

    A product costs one gradient, and :math:`g(\theta)` once for each batch. No
    graph is kept and no layer is derived twice, so layers without a second
    derivative can be used. The map equals :class:`Hessian` up to an error of
    the order of :math:`\epsilon`, if the whole network is smooth, including its
    pretext head. Across the kinks of ReLUs and max pooling it does not; see
    ``docs/hypergradient.md``.

    :math:`\epsilon` is ``step`` times the norm of the parameters. The map is
    symmetric and linear up to that error: in single precision about 0.3 to 2%.
    A solution has this error in :math:`H v_{IJ}`, whatever residual its solver
    reports, because the solver knows this map only.

    Args:
        closures (Sequence[Callable[[], Tensor]]): Each returns the scalar
            loss of a batch, the same one at the same parameters. If it has a
            method ``held``, a gradient is computed within this context, too.
        params (Sequence[Tensor]): See :class:`Curvature`. A product moves them
            and restores their exact bits.
        step (float): See above. Defaults to 1e-5.
        **kwargs: See :class:`Curvature`.

    Raises:
        ValueError: With ``product_dtype`` or ``product_tf32``, or for a step that is not above 0.

    Source:
        Pearlmutter 1994, section 1, for the difference that his exact product
        replaces.
    """

    _closures: Sequence[Callable[[], Tensor]]

    def __init__(
        self,
        closures: Sequence[Callable[[], Tensor]],
        params: Sequence[Tensor],
        step: float = STEP,
        **kwargs: Any,
    ) -> None:
        check_non_negative('Differences', 'step', step)
        if not step:
            raise ValueRefusal('Differences: step must be above 0. Set 1e-5.')
        rough = kwargs.get('product_dtype') or kwargs.get('product_tf32') and 'tf32'
        if rough:
            raise ValueRefusal(
                'optim_wrapper.hypergradient: a difference of two gradients is lost '
                f'in the rounding of {rough}. Set dtype=None.'
            )
        self.step = step
        length = norm(tuple(p.detach() for p in params))
        self._distance = step * torch.where(length > 0, length, 1.0)
        # A kept gradient is only as large as the parameters.
        kwargs.update(keep_graphs=True, second_order='torch')
        super().__init__(closures, params, **kwargs)

    def _gradient(self, index: int) -> Any:
        """The number of the batch, and its gradient at the parameters."""
        loss, grads = loss_gradient(self._closures[index], self.params)
        self._losses[index] = loss
        return index, grads

    def _product(self, gradient: Any, vectors: Vectors) -> Sequence[Tensor | None]:
        index, at_rest = gradient
        length = norm(vectors)
        # Both are 0 for a zero vector; its product is zero. The host does not wait.
        scale = torch.where(length > 0, self._distance / length, 0.0)
        back = length / self._distance
        kept = [p.data for p in self.params]
        # These are new tensors, so nothing writes to the parameters' own.
        moved = torch._foreach_add(kept, torch._foreach_mul(list(vectors), scale))
        try:
            for param, place in zip(self.params, moved, strict=True):
                param.data = place
            _, grads = loss_gradient(self._closures[index], self.params)
        finally:
            for param, own in zip(self.params, kept, strict=True):
                param.data = own
        return torch._foreach_mul(torch._foreach_sub(grads, at_rest), back)


def loss_gradient(
    closure: Callable[[], Tensor], params: Sequence[Tensor]
) -> tuple[Tensor, list[Tensor]]:
    """The loss of a closure and its gradient, both without a graph.

    Args:
        closure (Callable): See :class:`Differences`.
        params (Sequence[Tensor]): The leaves.
    """
    # Checkpointed layers run once more while the gradient is computed.
    with torch.enable_grad(), getattr(closure, 'held', nullcontext)():
        loss = closure()
        grads = torch.autograd.grad(loss, params, allow_unused=True)
    return loss.detach(), [
        torch.zeros_like(p) if g is None else g.detach()
        for g, p in zip(grads, params, strict=True)
    ]
