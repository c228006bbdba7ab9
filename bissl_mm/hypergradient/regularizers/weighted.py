"""Distances that tie some tensors more than others, or large gaps less."""

import re
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from ...utils.check import check_keys, check_non_negative
from ...utils.errors import RuntimeRefusal, TypeRefusal, ValueRefusal
from ..linalg.vectors import Vectors
from ..operators.base import Operator
from ..operators.diagonal import Diagonal
from .base import Pull, Regularizer


@check_keys
class WeightedDistance(Regularizer):
    r""":math:`r = \frac{1}{2} \sum_i f_i \|\theta_{P,i} - \theta_{D,i}\|_2^2`
    over the tensors of the backbone.

    The implicit Jacobian is then :math:`F [F + H/(\lambda+\delta)]^{-1}` with
    :math:`F` the factors. A tensor of factor 0 is free: no term pulls it, and
    its :math:`v_{IJ}` is 0, or :math:`v` where ``hypergradient.params`` leaves
    it out. There the system is :math:`H/(\lambda+\delta)`, which may be
    singular.

    Args:
        weight (float): :math:`\lambda`. Defaults to 0.001.
        factors (dict[str, float], optional): Regular expression, searched for
            in the pretext model's names, -> :math:`f_i`, at least 0. The first
            expression that is found applies; without one, the factor is 1. For example
            ``{r'\.bn\d': 0., 'layer4': 0.1}``. Defaults to None: 1
            everywhere, the published distance.

    Raises:
        TypeError: If ``factors`` is no dict with expressions as keys.
        ValueError: For a negative factor, for an invalid expression, or for one
            that names no tensor.

    Source:
        Eq. (5), arXiv:2410.02387, for a general :math:`r`.
    """

    def __init__(
        self, weight: float = 0.001, factors: Mapping[str, float] | None = None
    ) -> None:
        super().__init__(weight)
        name = type(self).__name__
        if not isinstance(factors or {}, Mapping):
            raise TypeRefusal(
                f'{name}: factors must be a dict, but is {factors!r}. Write '
                "{'layer4': 0.1}, for example."
            )
        self.factors = dict(factors or {})
        for pattern, factor in self.factors.items():
            if not isinstance(pattern, str):
                raise TypeRefusal(
                    f'{name}: factors has {pattern!r}, which is not text. Write a '
                    'regular expression in quotes.'
                )
            check_non_negative(name, f'factors[{pattern!r}]', factor)
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueRefusal(
                    f'{name}: factors has {pattern!r}, which is not a regular '
                    f'expression ({error}). Correct it.'
                ) from error
        # The factor of each tensor, by the tensor's identity.
        self._of_tensor: dict[int, float] = {}

    def tie(self, names: Sequence[str], lower: Sequence[Tensor]) -> None:
        """See :meth:`Regularizer.tie`."""
        found = [
            next((p for p in self.factors if re.search(p, name)), None)
            for name in names
        ]
        for pattern in self.factors:
            if pattern not in found:
                raise ValueRefusal(
                    f'{type(self).__name__}: factors[{pattern!r}] applies to no '
                    f'tensor of the lower backbone. It has {len(names)}: '
                    f'{names[0]!r}, ..., {names[-1]!r}. Correct the expression, or '
                    'move it before those that match the same tensors.'
                )
        self._of_tensor = {
            id(tensor): 1.0 if p is None else self.factors[p]
            for p, tensor in zip(found, lower, strict=True)
        }

    def shares(self, lower: Sequence[Tensor]) -> list[float]:
        """See :meth:`Regularizer.shares`; the factors."""
        return self._factors(lower)

    @torch.no_grad()
    def add_gradient_(
        self, grads: Sequence[Tensor], lower: Sequence[Tensor], upper: Sequence[Tensor]
    ) -> Pull:
        values, distances, slopes = [], [], []
        for factor, grad, p, d in zip(
            self._factors(lower), grads, lower, upper, strict=True
        ):
            gap = p - d
            slope = self.weight * factor * self._slope(gap)
            grad.add_(slope)
            values.append(self.weight * factor * self._value(gap))
            distances.append(torch.linalg.vector_norm(gap))
            slopes.append(torch.linalg.vector_norm(slope))
        return Pull(
            torch.stack(values).sum(),
            torch.linalg.vector_norm(torch.stack(distances)),
            torch.linalg.vector_norm(torch.stack(slopes)),
        )

    def metric(self, lower: Sequence[Tensor], upper: Sequence[Tensor]) -> Operator:
        factors = self._factors(lower)
        return Diagonal(
            [
                factor * self._curvature(p, d)
                for factor, p, d in zip(factors, lower, upper, strict=True)
            ],
            min(factors) > 0,
        )

    def cross(
        self, vectors: Vectors, lower: Sequence[Tensor], upper: Sequence[Tensor]
    ) -> Vectors:
        # r is a function of the difference alone.
        return self.metric(lower, upper)(vectors)

    def _factors(self, tensors: Sequence[Tensor]) -> list[float]:
        if not self.factors:
            return [1.0] * len(tensors)
        try:
            return [self._of_tensor[id(tensor)] for tensor in tensors]
        except KeyError as error:
            raise RuntimeRefusal(
                f'{type(self).__name__}: factors are by name, but tie() was not '
                'called with the names of these tensors. Build the wrapper with '
                "constructor='BiSSLOptimWrapperConstructor'."
            ) from error

    def _value(self, gap: Tensor) -> Tensor:
        return 0.5 * gap.square().sum()

    def _slope(self, gap: Tensor) -> Tensor:
        return gap

    def _curvature(self, lower: Tensor, upper: Tensor) -> Tensor | float:
        return 1.0


@check_keys
class ElasticDistance(WeightedDistance):
    r""":math:`r = \sum_i f_i \sum_j \rho(x_{ij})`, :math:`\rho(x) =
    \frac{1}{2} x^2 + \mu (\sqrt{x^2 + \epsilon^2} - \epsilon)`, of
    :math:`x = \theta_P - \theta_D`.

    The second term is an absolute value that is smooth at 0. It pulls small
    gaps to 0 with nearly the same force as large ones.

    Args:
        weight (float): :math:`\lambda`. Defaults to 0.001.
        l1 (float): :math:`\mu`, at least 0. Defaults to 0.01.
        smoothing (float): :math:`\epsilon`, above 0. Defaults to 0.001.
        factors (dict, optional): See :class:`WeightedDistance`.

    Source:
        Zou & Hastie 2005, for the difference of two networks; smoothed, since
        Eq. (6), arXiv:2410.02387, needs second derivatives.
    """

    has_constant_metric = False
    uncounted = 'R leaves out the l1 term, which pulls more the smaller the gap is.'

    def __init__(
        self,
        weight: float = 0.001,
        l1: float = 0.01,
        smoothing: float = 0.001,
        factors: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__(weight, factors)
        check_non_negative('ElasticDistance', 'l1', l1)
        check_non_negative('ElasticDistance', 'smoothing', smoothing)
        if not smoothing:
            raise ValueRefusal(
                'ElasticDistance: smoothing must be above 0, but is '
                f'{smoothing}: the absolute value has no second derivative at 0. '
                'Set 0.001.'
            )
        self.l1, self.smoothing = l1, smoothing

    def _root(self, gap: Tensor) -> Tensor:
        return (gap.square() + self.smoothing**2).sqrt()

    def _value(self, gap: Tensor) -> Tensor:
        return super()._value(gap) + self.l1 * (self._root(gap) - self.smoothing).sum()

    def _slope(self, gap: Tensor) -> Tensor:
        return gap + self.l1 * gap / self._root(gap)

    @torch.no_grad()
    def _curvature(self, lower: Tensor, upper: Tensor) -> Tensor:
        return 1 + self.l1 * self.smoothing**2 / self._root(lower - upper).pow(3)
