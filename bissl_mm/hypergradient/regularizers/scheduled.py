"""Half the squared distance with a weight that follows a schedule."""

import math

from ...utils.check import check_in, check_keys, check_non_negative
from ...utils.errors import ValueRefusal
from .base import SquaredDistance


@check_keys
class ScheduledDistance(SquaredDistance):
    r""":math:`\lambda(t) \frac{1}{2} \|\theta_P - \theta_D\|_2^2` in
    alternation :math:`t = 0, \dots, T-1`.

    .. math:: \lambda(t) = \lambda_{\min} + (\lambda_{\max} - \lambda_{\min})
              f(t / (T - 1))

    ======================== ================================================
    schedule                 :math:`f(s)`
    ======================== ================================================
    ``cosine_decay``         :math:`\frac{1}{2}(1 + \cos \pi s)`
    ``cosine_increase``      :math:`\frac{1}{2}(1 - \cos \pi s)`
    ``exponential_increase`` :math:`(1 - e^{-\alpha s}) / (1 - e^{-\alpha})`
    ======================== ================================================

    A stage of one alternation has :math:`s = 0`.

    Args:
        schedule (str): One of the above.
        max_weight (float): :math:`\lambda_{\max}`, at least ``min_weight``.
        min_weight (float): :math:`\lambda_{\min}`, at least 0. Defaults to
            1e-8, the value of the source.
        alpha (float): Rate of the exponential, above 0. The larger it is, the
            sooner the weight rises. Defaults to 10.

    Raises:
        ValueError: For an unknown schedule or a number out of its range.

    Source:
        Section 5.2.1 of the thesis. The saturating exponential is its
        Figure 5.2.
    """

    def __init__(
        self,
        schedule: str,
        max_weight: float,
        min_weight: float = 1e-8,
        alpha: float = 10.0,
    ) -> None:
        name = 'ScheduledDistance'
        check_in(
            name,
            'schedule',
            schedule,
            ('cosine_decay', 'cosine_increase', 'exponential_increase'),
        )
        for key, value in (
            ('max_weight', max_weight),
            ('min_weight', min_weight),
            ('alpha', alpha),
        ):
            check_non_negative(name, key, value)
        if max_weight < min_weight:
            raise ValueRefusal(
                f'{name}: max_weight={max_weight} is less than '
                f'min_weight={min_weight}. Give a larger max_weight, or exchange the two.'
            )
        if not alpha:
            raise ValueRefusal(
                f'{name}: alpha must be above 0, but is {alpha}. For a nearly '
                'linear rise set a small value, such as 0.001.'
            )
        self.schedule = schedule
        self.max_weight, self.min_weight = max_weight, min_weight
        self.alpha = alpha
        super().__init__(max_weight)
        self.begin_alternation(0, 2)

    def begin_alternation(self, index: int, total: int) -> None:
        """Set the weight of the alternation."""
        share = self._share(index / max(total - 1, 1))
        # This form is exact at both ends.
        self.weight = self.min_weight * (1 - share) + self.max_weight * share

    def scaled(self, factor: float) -> dict[str, float]:
        """See :meth:`Regularizer.scaled`; both ends of the schedule."""
        return {
            'min_weight': self.min_weight * factor,
            'max_weight': self.max_weight * factor,
        }

    def _share(self, s: float) -> float:
        if self.schedule == 'cosine_decay':
            return 0.5 * (1 + math.cos(math.pi * s))
        if self.schedule == 'cosine_increase':
            return 0.5 * (1 - math.cos(math.pi * s))
        return math.expm1(-self.alpha * s) / math.expm1(-self.alpha)
