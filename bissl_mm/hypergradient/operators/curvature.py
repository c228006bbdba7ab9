"""What the curvatures of the pretext loss have in common."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from ...utils.compat import tf32
from ...utils.errors import RuntimeRefusal, TypeRefusal, ValueRefusal
from ..linalg.vectors import Vectors, check_same_structure, is_zero
from ..second_order.mode import layers_of
from .base import Operator


class Curvature(Operator):
    r"""A second derivative in :math:`\theta_P`, on fixed pretext batches.

    Neither :math:`\theta_P` nor the batches change during an upper phase.
    Therefore the first derivative of each batch is computed once, on
    construction, and its graph serves all products. The memory of one graph per
    batch is held until :meth:`close`. With ``keep_graphs=False`` every product
    builds the graphs anew, one batch after the other. This takes more time, and
    the memory of one batch.

    Args:
        closures (Sequence[Callable]): One function per pretext batch; the
            subclass says what it returns. It must be twice differentiable in
            ``params``, and must change neither buffers nor the random state;
            see :func:`bissl_mm.models.losses.functional.pure_forward`. The
            curvature is the mean over the batches.
        params (Sequence[Tensor]): The leaves :math:`\theta_P`, float32 or
            float64.
        mean_over_ranks (Callable, optional): Averages a tuple of tensors
            over processes. It is applied to every product, *before* a solver
            computes a step size from it. Defaults to None: one process.
        keep_graphs (bool): See above. Defaults to True.
        product_dtype (torch.dtype, optional): The type in which the
            convolutions of a product compute. With ``torch.bfloat16`` products
            are off by about 1e-3, and the operator is symmetric only to this
            error. Defaults to None: the type of the parameters.
        product_tf32 (bool): Whether a GPU may compute a product in TF32, which
            is off by about 1e-3, too. Defaults to False; gradients are always
            in float32.
        second_order (str): ``'lean'`` derives convolutions and batch norms
            as :mod:`bissl_mm.hypergradient.second_order` does, ``'torch'``
            as torch does. Defaults to ``'lean'``.
        small_image_kernels (bool): Whether lean layers of a few pixels get
            kernels of their own. Defaults to True.
        lazy (bool): Whether the graphs are built at the first product, which
            may never come. Defaults to False.
        zero_text (Callable, optional): Returns the message of the refusal if
            the first product is exactly zero although the vector is not.
            Defaults to None: no refusal.

    Attributes:
        params (tuple[Tensor]): The leaves.
        keeps_graphs (bool): As given.
        num_products (int): Products so far.

    Raises:
        ValueError: If no closure or no parameter is given, or if a loss
            contains a gradient of its own whose third derivative torch computes
            wrongly.
        TypeError: If a parameter is in half precision.
    """

    def __init__(
        self,
        closures: Sequence[Callable[[], Any]],
        params: Sequence[Tensor],
        mean_over_ranks: Callable[[Vectors], Vectors] | None = None,
        keep_graphs: bool = True,
        product_dtype: torch.dtype | None = None,
        product_tf32: bool = False,
        second_order: str = 'lean',
        small_image_kernels: bool = True,
        lazy: bool = False,
        zero_text: Callable[[], str] | None = None,
    ) -> None:
        if not closures or not params:
            raise ValueRefusal(
                f'{type(self).__name__}: got {len(closures)} pretext batches '
                f'and {len(params)} parameters; both must be at least 1.'
            )
        for i, param in enumerate(params):
            if param.dtype not in (torch.float32, torch.float64):
                raise TypeRefusal(
                    f'{type(self).__name__}: parameter {i} is {param.dtype}. '
                    'A Hessian-vector product in half precision has a large '
                    'error. Keep the backbone in float32.'
                )
        self.params = tuple(params)
        self.num_products = 0
        self._product_tf32 = product_tf32
        self._mean_over_ranks = mean_over_ranks
        self._zero_text = zero_text
        self._layers = layers_of(second_order, product_dtype, small_image_kernels)
        self._versions = [p._version for p in self.params]
        self._closures = list(closures)
        self._losses: dict[int, Tensor] = {}
        self.keeps_graphs = keep_graphs
        self._gradients: list[Any] | None = None
        if not lazy:
            self._build_graphs()

    @property
    def loss(self) -> Tensor | None:
        """Mean loss of the batches; None before the first evaluation."""
        if not self._losses:
            return None
        return torch.stack(list(self._losses.values())).mean()

    def _build_graphs(self) -> None:
        if self.keeps_graphs and self._gradients is None:
            self._gradients = [
                self._exact_gradient(i) for i in range(len(self._closures))
            ]

    def _exact_gradient(self, index: int) -> Any:
        with tf32(False):
            return self._gradient(index)

    @abstractmethod
    def _gradient(self, index: int) -> Any:
        """Of one batch, with its graph, in the form _product takes it."""

    @abstractmethod
    def _product(self, gradient: Any, vectors: Vectors) -> Sequence[Tensor | None]:
        """The product of one batch; None, or nothing at all, is zero."""

    def __call__(self, vectors: Vectors) -> Vectors:
        """The product, as the mean over batches and ranks.

        Args:
            vectors (Vectors): One tensor per parameter, of its shape.

        Returns:
            Vectors: Same structure. The argument is not changed.

        Raises:
            RuntimeError: If a parameter was changed in place since
                construction, or :meth:`close` was called.
            ValueError: If the shapes differ from those of the parameters, or
                if the product is zero and ``zero_text`` is given.
        """
        check_same_structure(f'{type(self).__name__}: the vector', vectors, self.params)
        self._check_alive()
        self.num_products += 1
        self._build_graphs()
        total: list[Tensor | None] = [None] * len(self.params)
        for i in range(len(self._closures)):
            gradient = (
                self._exact_gradient(i)
                if self._gradients is None
                else self._gradients[i]
            )
            with tf32(self._product_tf32):
                products = self._product(gradient, vectors)
            for j, product in enumerate(products):
                if product is not None:
                    so_far = total[j]
                    total[j] = product if so_far is None else so_far + product
        result = tuple(
            torch.zeros_like(p) if t is None else t.detach().contiguous()
            for t, p in zip(total, self.params, strict=True)
        )
        if len(self._closures) > 1:
            result = tuple(torch._foreach_div(list(result), float(len(self._closures))))
        if self._mean_over_ranks is not None:
            result = self._mean_over_ranks(result)
        if (
            self._zero_text is not None
            and self.num_products == 1
            and is_zero(result)
            and not is_zero(vectors)
        ):
            raise ValueRefusal(self._zero_text())
        return result

    def exact(self, vectors: Vectors) -> Vectors:
        """The product in the type of the parameters, without
        ``product_dtype`` and ``product_tf32``."""
        product_dtype, self._layers.product_dtype = self._layers.product_dtype, None
        product_tf32, self._product_tf32 = self._product_tf32, False
        try:
            return self(vectors)
        finally:
            self._layers.product_dtype = product_dtype
            self._product_tf32 = product_tf32

    def close(self) -> None:
        """Free the kept graphs."""
        self._closures = []
        self._gradients = None

    def _check_alive(self) -> None:
        if not self._closures:
            raise RuntimeError(
                f'{type(self).__name__}: used after close(). Build a new '
                'operator for each upper phase.'
            )
        for i, (param, version) in enumerate(
            zip(self.params, self._versions, strict=True)
        ):
            if param._version != version:
                raise RuntimeRefusal(
                    f'{type(self).__name__}: lower backbone parameter {i} of '
                    f'shape {tuple(param.shape)} was changed in place since '
                    'the operator was built. Nothing may write to the lower '
                    'backbone during an upper phase.'
                )
