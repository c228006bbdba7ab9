"""The empirical Fisher matrix in the place of the Hessian."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from ...utils.errors import ValueRefusal
from ..linalg.basis import Basis, flatten, row_dot, unflatten
from ..linalg.vectors import Vectors
from .curvature import Curvature
from .differences import loss_gradient


class Fisher(Curvature):
    r"""The map :math:`v \mapsto \frac{1}{m} \sum_i g_i g_i^T v`.

    :math:`g_i` is the gradient of the pretext loss on the i-th of m batches, as
    the mean over ranks. It takes m gradients for a phase and no second
    derivative. A product is m inner products. The matrix is positive
    semi-definite and of rank m, so :class:`LowRankSolver` inverts its system
    exactly. It is the Fisher information only of a loss that is a likelihood, at
    parameters that fit; elsewhere it differs from the Hessian by any factor.

    Its size falls with the number of images that a gradient is a mean of. Means
    of b images have about 1/b of the matrix of single images.

    Memory: m vectors.

    Args:
        closures (Sequence[Callable[[], Tensor]]): See :class:`Differences`.
        params (Sequence[Tensor]): See :class:`Curvature`.
        **kwargs: See :class:`Curvature`.

    Raises:
        ValueError: With ``product_dtype`` or ``product_tf32``.

    Source:
        Singh & Alistarh 2020 (WoodFisher), equation 4.
    """

    is_positive_semidefinite = True
    _closures: Sequence[Callable[[], Tensor]]

    def __init__(
        self,
        closures: Sequence[Callable[[], Tensor]],
        params: Sequence[Tensor],
        **kwargs: Any,
    ) -> None:
        rough = kwargs.get('product_dtype') or kwargs.get('product_tf32') and 'tf32'
        if rough:
            raise ValueRefusal(
                "optim_wrapper.hypergradient: curvature='fisher' derives no layer "
                f'in a product, so that {rough} has no effect. Set dtype=None.'
            )
        self._rows = Basis()
        # A kept gradient is only as large as the parameters.
        kwargs.update(keep_graphs=True, second_order='torch')
        super().__init__(closures, params, **kwargs)

    def low_rank(self) -> tuple[Basis, Tensor]:
        r"""Rows B and a matrix T with :math:`B^T T B` the matrix itself.

        Returns:
            tuple: The m gradients, and T on the host, float64, shape ``(m, m)``.
        """
        self._check_alive()
        self._build_graphs()
        number = len(self._rows)
        return self._rows, torch.eye(number, dtype=torch.float64) / number

    def _gradient(self, index: int) -> Tensor:
        loss, grads = loss_gradient(self._closures[index], self.params)
        self._losses[index] = loss
        if self._mean_over_ranks is not None:
            grads = self._mean_over_ranks(tuple(grads))
        self._rows.append(flatten(tuple(grads)))
        return self._rows.last

    def _product(self, gradient: Tensor, vectors: Vectors) -> Vectors:
        along = row_dot(gradient, flatten(vectors)).to(gradient.dtype)
        return unflatten(along * gradient, self.params)

    def close(self) -> None:
        """Free the gradients."""
        super().close()
        self._rows = Basis()
