"""The Gauss-Newton matrix in the place of the Hessian."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ...utils.errors import ValueRefusal
from ..linalg.vectors import Vectors
from ..second_order.torch_layers import check_derivatives, derived_twice
from .curvature import Curvature

#: Outputs, the same cut off as leaves, and the loss of the leaves.
CutLoss = tuple[Sequence[Tensor], Sequence[Tensor], Tensor]


class _Factors(NamedTuple):
    """The two factors of the gradient ``J^T slopes`` of one batch.

    ``pulled`` is ``J^T probes`` and has one tensor per parameter. The others
    have one tensor per output.
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
    :math:`L`. :math:`G` is the first term, which is positive semi-definite. With
    the identity added it is positive definite, and conjugate gradients cannot
    break down. It equals :math:`H` where the outputs are linear in the
    parameters, or where the slopes :math:`\partial L / \partial z_k` are zero.

    A product takes three steps over graphs that are built once: :math:`J v`
    as the derivative of :math:`w \mapsto J^T w`, then :math:`H_L` by two
    backward passes of :math:`L` alone, then one backward pass.

    Args:
        closures (Sequence[Callable[[], tuple]]): One function per pretext
            batch that returns ``(outputs, leaves, loss)``. ``outputs`` are
            tensors of any shapes with their graph to ``params``. ``leaves`` are
            the same tensors, detached and requiring a gradient. ``loss`` is the
            scalar loss with its graph to the leaves; the caller guarantees that
            it is convex in them. For all else, and for the other arguments, see
            :class:`Curvature`.

    Raises:
        ValueError: If the loss depends on a parameter by another way than the
            outputs. See also :class:`Curvature`.
        TypeError: If a parameter is in half precision.

    Source:
        Schraudolph, Fast Curvature Matrix-Vector Products for Second-Order
        Gradient Descent, Neural Computation 14, 2002.
    """

    is_positive_semidefinite = True
    _closures: Sequence[Callable[[], CutLoss]]

    @derived_twice()
    def _gradient(self, index: int) -> _Factors | None:
        with torch.enable_grad():
            with self._layers:
                outputs, leaves, loss = self._closures[index]()
            if index not in self._losses:
                check_derivatives(loss, *outputs)
            self._losses[index] = loss.detach()
            slopes = torch.autograd.grad(
                loss, (*leaves, *self.params), create_graph=True, allow_unused=True
            )
            self._check_cut(index, slopes[len(leaves) :])
            # An output adds nothing if it depends on no parameter, or if the
            # loss is linear in it.
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
                    'the outputs. This part would be lost. List all '
                    'tensors that depend on the parameters as outputs, or use '
                    'the Hessian.'
                )

    @derived_twice()
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
        """The derivative of the inner product of ``of`` and ``weights``; None
        stands for zero."""
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
