"""The Gauss-Newton matrix in the place of the Hessian."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ...utils.errors import ValueRefusal
from ..linalg.vectors import Vectors
from ..second_order.torch_layers import check_third_derivatives
from .curvature import Curvature

#: Outputs, the same cut off as leaves, and the loss of the leaves.
CutLoss = tuple[Sequence[Tensor], Sequence[Tensor], Tensor]


class _Factors(NamedTuple):
    """The gradient ``J^T slopes`` of one batch in its two factors.

    ``pulled`` is ``J^T probes``, one tensor a parameter; the others have one
    an output.
    """

    outputs: Vectors
    leaves: Vectors
    slopes: Vectors
    probes: Vectors
    pulled: tuple[Tensor | None, ...]


class GaussNewton(Curvature):
    r"""The map :math:`v \mapsto G v`.

    Where the pretext loss is :math:`L(z(\theta_P))` with :math:`L` convex in
    the outputs :math:`z`, its Hessian is

    .. math::
        H = J^T H_L J + \sum_k \frac{\partial L}{\partial z_k} \nabla^2 z_k

    with the Jacobian :math:`J` of the outputs and the Hessian :math:`H_L` of
    :math:`L`. :math:`G` is the first term. It is positive semi-definite, so
    that with the identity added it is positive definite and conjugate
    gradients cannot break down; it equals :math:`H` where the outputs are
    linear in the parameters or the slopes :math:`\partial L / \partial z_k` are zero.

    A product takes three steps over graphs that are built once: :math:`J v`
    as the derivative of :math:`w \mapsto J^T w`, :math:`H_L` by double
    backward of :math:`L` alone, and one backward pass.

    Args:
        closures (Sequence[Callable[[], tuple]]): One function a pretext
            batch that returns ``(outputs, leaves, loss)``: tensors of any
            shapes with their graph to ``params``, the same tensors detached
            and requiring a gradient, and the scalar loss with its graph to
            the leaves. That it is convex in them is for the caller to know.
            Otherwise as for :class:`Curvature`, as are the other arguments.

    Raises:
        ValueError: If the loss reaches a parameter past the outputs; for
            others see :class:`Curvature`.
        TypeError: If a parameter is in half precision.

    Source:
        Schraudolph, Fast Curvature Matrix-Vector Products for Second-Order
        Gradient Descent, Neural Computation 14, 2002.
    """

    is_positive_semidefinite = True
    _closures: Sequence[Callable[[], CutLoss]]

    def _gradient(self, index: int) -> _Factors | None:
        with torch.enable_grad():
            with self._layers:
                outputs, leaves, loss = self._closures[index]()
            if index not in self._losses:
                check_third_derivatives(loss)
            self._losses[index] = loss.detach()
            slopes = torch.autograd.grad(
                loss, (*leaves, *self.params), create_graph=True, allow_unused=True
            )
            self._check_cut(index, slopes[len(leaves) :])
            # Outputs that do not depend on a parameter, or with a linear
            # loss, add nothing.
            rows = [
                row
                for row in zip(outputs, leaves, slopes[: len(leaves)], strict=True)
                if row[0].requires_grad and row[2] is not None and row[2].requires_grad
            ]
            if not rows:
                return None
            outputs, leaves, slopes = zip(*rows, strict=True)
            probes = tuple(torch.zeros_like(z, requires_grad=True) for z in outputs)
            pulled = torch.autograd.grad(
                outputs, self.params, probes, create_graph=True, allow_unused=True
            )
        return _Factors(outputs, leaves, slopes, probes, pulled)

    def _check_cut(self, index: int, rest: Sequence[Tensor | None]) -> None:
        for i, gradient in enumerate(rest):
            if gradient is not None:
                raise ValueRefusal(
                    f'GaussNewton: the loss of batch {index} depends '
                    f'on parameter {i} of shape {tuple(gradient.shape)} past '
                    'the outputs, and that part would be lost. Cut the loss '
                    'at all that depends on the parameters, or use the '
                    'Hessian.'
                )

    def _product(
        self, gradient: _Factors | None, vectors: Vectors
    ) -> Sequence[Tensor | None]:
        if gradient is None:
            return ()
        pushed = self._derivative(gradient.pulled, gradient.probes, vectors)
        curved = self._derivative(
            gradient.slopes,
            gradient.leaves,
            [
                torch.zeros_like(z) if u is None else u
                for z, u in zip(gradient.probes, pushed, strict=True)
            ],
        )
        return self._derivative(gradient.outputs, self.params, curved)

    def _derivative(
        self,
        of: Sequence[Tensor | None],
        by: Sequence[Tensor],
        weights: Sequence[Tensor | None],
    ) -> Sequence[Tensor | None]:
        """Of the inner product of ``of`` and ``weights``; None is zero."""
        rows = [
            (f, w)
            for f, w in zip(of, weights, strict=True)
            if f is not None and w is not None and f.requires_grad
        ]
        if not rows:
            return [None] * len(by)
        return torch.autograd.grad(
            [f for f, _ in rows],
            by,
            [w for _, w in rows],
            retain_graph=self._gradients is not None,
            allow_unused=True,
        )
