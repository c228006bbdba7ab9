"""A distance that ties the weights most that the pretext task needs most."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ...utils.check import check_keys, check_non_negative, check_positive_int
from ...utils.errors import RuntimeRefusal, ValueRefusal
from ..linalg.vectors import Vectors, agreed
from ..operators.base import Operator
from ..operators.diagonal import Diagonal
from .base import Pull, Regularizer


@check_keys
class FisherDistance(Regularizer):
    r""":math:`r = \frac{1}{2} \sum_j F_j (\theta_{P,j} - \theta_{D,j})^2`, with
    :math:`F` the diagonal of the empirical Fisher matrix of the pretext loss.

    :math:`F` is the mean of the squared gradients of the first lower steps, taken
    of whole batches and not of single images. It is then divided by its mean,
    limited to ``[least, most]`` and kept for the rest of the stage. Until then
    :math:`F = 1`. The implicit Jacobian is :math:`F [F + H/(\lambda+\delta)]^{-1}`.

    Args:
        weight (float): :math:`\lambda`. Defaults to 0.001.
        steps (int): Lower steps whose gradients make :math:`F`. Defaults to 20,
            the published alternation.
        least (float): Smallest factor, above 0. With 0 a weight without
            gradients would not be tied at all. Defaults to 0.1.
        most (float): Largest factor. Defaults to 10.

    Source:
        Eq. (5), arXiv:2410.02387, for a general :math:`r`; the weights are those
        of Kirkpatrick et al. 2017, eq. (3).
    """

    uncounted = 'R leaves out the factors F, most of which are below 1.'

    def __init__(
        self,
        weight: float = 0.001,
        steps: int = 20,
        least: float = 0.1,
        most: float = 10.0,
    ) -> None:
        super().__init__(weight)
        check_positive_int('FisherDistance', 'steps', steps)
        check_non_negative('FisherDistance', 'least', least)
        check_non_negative('FisherDistance', 'most', most)
        if not 0 < least <= 1 <= most:
            raise ValueRefusal(
                f'FisherDistance: least={least} and most={most} must enclose 1, the '
                'mean of the factors, and least must be above 0. Set least=0.1 and '
                'most=10.'
            )
        self.steps, self.least, self.most = steps, least, most
        self._names: list[str] = []
        self._sums: list[Tensor] = []
        self._done = torch.zeros((), dtype=torch.long)
        self._of_tensor: dict[int, int] = {}
        self._factors: list[Tensor] | None = None

    def tie(self, names: Sequence[str], lower: Sequence[Tensor]) -> None:
        """See :meth:`Regularizer.tie`."""
        self._names = list(names)
        self._sums = [torch.zeros_like(p, requires_grad=False) for p in lower]
        self._of_tensor = {id(p): i for i, p in enumerate(lower)}

    def factors(self, lower: Sequence[Tensor]) -> list[Tensor] | None:
        """:math:`F`, or None as long as gradients are collected.

        Args:
            lower (Sequence[Tensor]): :math:`\\theta_P`, or some of its tensors.
        """
        if int(self._done) < self.steps:
            return None
        if self._factors is None:
            number = sum(s.numel() for s in self._sums)
            # It scales every factor, so all ranks take the same bits.
            mean = agreed(torch.stack([s.sum() for s in self._sums]).sum() / number)
            self._factors = [
                torch.where(mean > 0, s / mean, torch.ones_like(s)).clamp(
                    self.least, self.most
                )
                for s in self._sums
            ]
        return [self._factors[self._place(p)] for p in lower]

    @torch.no_grad()
    def add_gradient_(
        self, grads: Sequence[Tensor], lower: Sequence[Tensor], upper: Sequence[Tensor]
    ) -> Pull:
        factors = self.factors(lower)
        if factors is None:
            for grad, p in zip(grads, lower, strict=True):
                self._sums[self._place(p)].addcmul_(grad, grad)
            self._done += 1
            # Made now, where all ranks agree, if these gradients were the last.
            self.factors(lower)
        gaps = torch._foreach_sub(list(lower), list(upper))
        slopes = torch._foreach_mul(gaps, self.weight)
        if factors is not None:
            torch._foreach_mul_(slopes, factors)
        torch._foreach_add_(list(grads), slopes)
        products = torch._foreach_mul(gaps, slopes)
        return Pull(
            0.5 * torch.stack([x.sum() for x in products]).sum(),
            torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gaps))),
            torch.linalg.vector_norm(torch.stack(torch._foreach_norm(slopes))),
        )

    def metric(self, lower: Sequence[Tensor], upper: Sequence[Tensor]) -> Operator:
        factors = self.factors(lower)
        return (
            super().metric(lower, upper) if factors is None else Diagonal(factors, True)
        )

    def cross(
        self, vectors: Vectors, lower: Sequence[Tensor], upper: Sequence[Tensor]
    ) -> Vectors:
        # r is a function of the difference alone.
        return self.metric(lower, upper)(vectors)

    def state_dict(self) -> dict[str, Tensor]:
        """The sums of squared gradients, by name, and their number."""
        sums = zip(self._names, self._sums, strict=True)
        return {'fisher.steps': self._done.clone()} | {
            f'fisher.{name}': s.clone() for name, s in sums
        }

    @torch.no_grad()
    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Take up what :meth:`state_dict` gave."""
        self._done = state['fisher.steps'].cpu().clone()
        for name, own in zip(self._names, self._sums, strict=True):
            own.copy_(state[f'fisher.{name}'])
        self._factors = None
        self.factors(())

    def _place(self, tensor: Tensor) -> int:
        try:
            return self._of_tensor[id(tensor)]
        except KeyError as error:
            raise RuntimeRefusal(
                'FisherDistance: the gradients are collected by tensor, but tie() was '
                'not called with these tensors. Build the wrapper with '
                "constructor='BiSSLOptimWrapperConstructor'."
            ) from error
