"""The linear operator of BiSSL's implicit Jacobian."""

from typing import Any, Callable, Dict, List, Optional, Sequence

import torch
from torch import Tensor

from ...utils.check import check_non_negative
from ...utils.errors import RuntimeRefusal, TypeRefusal, ValueRefusal
from ..second_order.mode import LeanLayers, check_third_derivatives
from ..linalg.vectors import Vectors, check_same_structure


class HessianOperator:
    r"""The map :math:`v \mapsto v + \frac{1}{\lambda + \delta} H v`.

    :math:`H` is the Hessian of the pretext loss in the lower backbone's
    parameters :math:`\theta_P`, at fixed head :math:`\phi_P` and on fixed
    pretext batches; :math:`\lambda` is ``reg_weight`` and :math:`\delta` is
    ``damping``. Note the place of the damping: it stretches :math:`\lambda`.
    Tikhonov damping would be :math:`I + H/\lambda + (\delta/\lambda) I`,
    which differs by the factor :math:`(\lambda + \delta)/\lambda`.

    The gradient of each batch is computed once, on construction, and its
    graph is kept for every product (double backward), because neither
    :math:`\theta_P` nor the batch changes during an upper phase. Memory for
    one graph a batch is held until :meth:`close`. Convolutions and batch
    norms in it derive as :mod:`lean_layers` says. With ``keep_graphs=False``
    every product builds the graphs anew, one batch after the other: more
    time, the memory of one batch.

    Args:
        closures (Sequence[Callable[[], Tensor]]): One function a pretext
            batch that returns its scalar loss. It must be twice
            differentiable in ``params`` and leave no trace (buffers, random
            state); see :func:`bissl_mm.models.functional.pure_forward`. It
            may hold derivatives itself (a gradient penalty, ``torch.func``).
            ``H`` is the mean over the batches.
        params (Sequence[Tensor]): The leaves :math:`\theta_P`, float32 or
            float64.
        reg_weight (float): Regularisation weight :math:`\lambda`.
        damping (float): Damping :math:`\delta`. Defaults to 0.
        mean_over_ranks (Callable, optional): Averages a tuple of tensors
            over processes. It is applied to every product, *before* a solver
            forms a step size from it. Defaults to None: one process.
        keep_graphs (bool): See above. Defaults to True.
        product_dtype (torch.dtype, optional): In which the convolutions of a
            product compute, ``torch.bfloat16``; the products are then off by
            some 1e-3 and the operator is symmetric only so far. Defaults to
            None: that of the parameters.
        lazy (bool): Wait with the graphs until the first product, which may
            never come. Defaults to False.
        zero_text (Callable, optional): Gives the sentence to refuse with
            where the first product, of a vector that is not, is exactly
            zero. Defaults to None: such an ``H`` is as good as any.

    Raises:
        ValueError: If :math:`\lambda + \delta` is not a positive number, no
            closure or no parameter is given, or a loss holds a gradient of
            its own of which torch gives a wrong third derivative.
        TypeError: If a parameter is in half precision.

    Source:
        Algorithm 2 and Eq. (6), arXiv:2410.02387 (TMLR version).
    """

    def __init__(self,
                 closures: Sequence[Callable[[], Tensor]],
                 params: Sequence[Tensor],
                 reg_weight: float,
                 damping: float = 0.,
                 mean_over_ranks: Optional[Callable[[Vectors],
                                                    Vectors]] = None,
                 keep_graphs: bool = True,
                 product_dtype: Optional[torch.dtype] = None,
                 lazy: bool = False,
                 zero_text: Optional[Callable[[], str]] = None) -> None:
        check_scale(reg_weight, damping)
        if not closures or not params:
            raise ValueRefusal(
                f'{type(self).__name__}: got {len(closures)} pretext batches '
                f'and {len(params)} parameters; both must be at least 1.')
        for i, param in enumerate(params):
            if param.dtype not in (torch.float32, torch.float64):
                raise TypeRefusal(
                    f'{type(self).__name__}: parameter {i} is {param.dtype}. '
                    'A Hessian-vector product in half precision is far off; '
                    'keep the backbone in float32.')
        self.params = tuple(params)
        self.scale = 1. / (reg_weight + damping)
        self.num_products = 0
        self._mean_over_ranks = mean_over_ranks
        self._zero_text = zero_text
        self._lean = LeanLayers(product_dtype)
        self._versions = [p._version for p in self.params]
        self._closures = list(closures)
        self._losses: Dict[int, Tensor] = {}
        self._keep_graphs = keep_graphs
        self._gradients: Optional[List[Any]] = None
        if not lazy:
            self._build_graphs()

    @property
    def loss(self) -> Optional[Tensor]:
        """Mean loss of the batches; None before the first evaluation."""
        if not self._losses:
            return None
        return torch.stack(list(self._losses.values())).mean()

    def _build_graphs(self) -> None:
        if self._keep_graphs and self._gradients is None:
            self._gradients = [self._gradient(i)
                               for i in range(len(self._closures))]

    def _gradient(self, index: int) -> Any:
        """Of one batch, with its graph, in the form _product takes it."""
        with torch.enable_grad():
            with self._lean:
                loss = self._closures[index]()
            if index not in self._losses:
                check_third_derivatives(loss)
            self._losses[index] = loss.detach()
            return torch.autograd.grad(
                loss, self.params, create_graph=True, allow_unused=True)

    def hvp(self, vectors: Vectors) -> Vectors:
        """Hessian-vector product ``H v``, the mean over batches and ranks.

        Args:
            vectors (Vectors): One tensor a parameter, same shapes.

        Returns:
            Vectors: Same structure. The argument is not changed.

        Raises:
            RuntimeError: If a parameter was changed in place since
                construction, or :meth:`close` was called.
            ValueError: If the structure differs from the parameters', or
                the product is zero and ``zero_text`` given.
        """
        check_same_structure(f'{type(self).__name__}: the vector', vectors,
                             self.params)
        self._check_alive()
        self.num_products += 1
        self._build_graphs()
        total: List[Optional[Tensor]] = [None] * len(self.params)
        for i in range(len(self._closures)):
            products = self._product(
                self._gradient(i) if self._gradients is None
                else self._gradients[i], vectors)
            for j, product in enumerate(products):
                if product is not None:
                    total[j] = product if total[j] is None \
                        else total[j] + product
        result = tuple(
            torch.zeros_like(p) if t is None else t.detach().contiguous()
            for t, p in zip(total, self.params))
        if len(self._closures) > 1:
            result = tuple(torch._foreach_div(list(result),
                                              float(len(self._closures))))
        if self._mean_over_ranks is not None:
            result = self._mean_over_ranks(result)
        if self._zero_text is not None and self.num_products == 1 \
                and _is_zero(result) and not _is_zero(vectors):
            raise ValueRefusal(self._zero_text())
        return result

    def _product(self, gradient: Any,
                 vectors: Vectors) -> Sequence[Optional[Tensor]]:
        """The product of one batch; None, or nothing at all, is zero."""
        # A gradient that no longer depends on the parameters (None, or a
        # constant) has a zero row in the Hessian.
        rows = [(g, v) for g, v in zip(gradient, vectors)
                if g is not None and g.requires_grad]
        if not rows:
            return ()
        return torch.autograd.grad([g for g, _ in rows], self.params,
                                   [v for _, v in rows],
                                   retain_graph=self._gradients is not None,
                                   allow_unused=True)

    def __call__(self, vectors: Vectors) -> Vectors:
        r"""``v + H v / (reg_weight + damping)``."""
        product = self.hvp(vectors)
        return tuple(
            torch._foreach_add(list(vectors), list(product),
                               alpha=self.scale))

    def exact(self, vectors: Vectors) -> Vectors:
        """The same in the parameters' own type, whatever ``product_dtype``
        says."""
        product_dtype, self._lean.product_dtype = \
            self._lean.product_dtype, None
        try:
            return self(vectors)
        finally:
            self._lean.product_dtype = product_dtype

    def close(self) -> None:
        """Free the kept graphs."""
        self._closures = []
        self._gradients = None

    def _check_alive(self) -> None:
        if not self._closures:
            raise RuntimeError(
                f'{type(self).__name__}: used after close(). Build a new '
                'operator for each upper phase.')
        for i, (param, version) in enumerate(
                zip(self.params, self._versions)):
            if param._version != version:
                raise RuntimeRefusal(
                    f'{type(self).__name__}: lower backbone parameter {i} of '
                    f'shape {tuple(param.shape)} was changed in place since '
                    'the operator was built. Nothing may write to the lower '
                    'backbone during an upper phase.')


def _is_zero(vectors: Vectors) -> bool:
    return not any(bool(v.any()) for v in vectors)


def check_scale(reg_weight: float, damping: float) -> None:
    """Raise a ``ValueError`` unless ``reg_weight + damping`` is usable.

    Args:
        reg_weight (float): Regularisation weight lambda, at least 0.
        damping (float): Damping delta, at least 0.
    """
    check_non_negative('BiSSL', 'reg_weight', reg_weight)
    check_non_negative('BiSSL', 'damping', damping)
    if reg_weight + damping <= 0:
        raise ValueRefusal(
            f'reg_weight (={reg_weight}) + damping (={damping}) is 0, and the '
            'Hessian is divided by their sum. Set one of them above 0; the '
            'published values are reg_weight=0.001 and damping=10.')
