"""Half the squared distance with a weight that the upper level learns."""

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...utils.check import check_keys, check_non_negative
from ...utils.errors import ValueRefusal
from ..linalg.vectors import Vectors, dot, subtract
from .base import SquaredDistance

NAME = 'regularizer.raw_weight'


@check_keys
class LearnedDistance(SquaredDistance):
    r""":math:`\sigma(l) \frac{1}{2} \|\theta_P - \theta_D\|_2^2` with
    softplus :math:`\sigma` and :math:`l` an upper-level parameter.

    Its gradient uses the solution that the step has already:

    .. math:: \frac{dF}{dl} = \frac{\sigma'(l)}{\sigma(l) + \delta_\lambda}
              \langle \theta_D - \theta_P, v_{IJ} \rangle .

    Every upper step changes :math:`\lambda`, and the next one solves another
    system. A solver therefore keeps nothing from step to step. The optimizer,
    its schedule and its clipping are those of the upper level.

    Args:
        weight (float): :math:`\lambda` at the start, above 0. Defaults to
            0.001.
        damping (float): :math:`\delta_\lambda`, at least 0. Defaults to 10.
        lr (float, optional): Learning rate of :math:`l`. Defaults to None:
            that of the upper level.
        weight_decay (float, optional): Weight decay of :math:`l`, which pulls
            :math:`\lambda` toward log 2. Defaults to 0.

    Raises:
        ValueError: For a number out of its range.

    Source:
        Section 5.2.2 of the thesis, (5.6). Its damping is 0 or 10.
    """

    def __init__(
        self,
        weight: float = 0.001,
        damping: float = 10.0,
        lr: float | None = None,
        weight_decay: float | None = 0.0,
    ) -> None:
        name = 'LearnedDistance'
        check_non_negative(name, 'damping', damping)
        for key, value in (('lr', lr), ('weight_decay', weight_decay)):
            if value is not None:
                check_non_negative(name, key, value)
        self._raw = nn.Parameter(torch.zeros(()))
        # Known until a step or a checkpoint changes the parameter.
        self._weight: float | None = None
        super().__init__(weight)
        self.start = weight
        self.damping = damping
        self._group = dict(lr=lr, weight_decay=weight_decay)

    @property
    def weight(self) -> float:
        r"""The present :math:`\lambda`, read from the device once per step."""
        if self._weight is None:
            self._weight = F.softplus(self._raw.detach()).item()
        return self._weight

    @weight.setter
    def weight(self, value: float) -> None:
        if not value > 0:
            raise ValueRefusal(
                f'LearnedDistance: weight must be above 0, but is {value}. A weight '
                'of 0 cannot be learned; for a small one set 1e-5.'
            )
        held = torch.finfo(self._raw.dtype)
        if not held.tiny <= value <= held.max:
            raise ValueRefusal(
                f'LearnedDistance: weight is {value}, which {self._raw.dtype} cannot '
                f'hold. Set a number between {held.tiny:.0e} and {held.max:.0e}.'
            )
        # The inverse of softplus; for a large number it is the number itself.
        raw = value + math.log(-math.expm1(-value))
        with torch.no_grad():
            self._raw.fill_(raw)
        self._weight = None

    def tie(self, names: Sequence[str], lower: Sequence[Tensor]) -> None:
        """See :meth:`Regularizer.tie`; the parameter goes to their device."""
        self._raw.data = self._raw.data.to(lower[0].device)

    def stepped(self) -> None:
        """See :meth:`Regularizer.stepped`."""
        self._weight = None

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """See :meth:`Regularizer.load_state_dict`."""
        super().load_state_dict(state)
        self._weight = None

    def named_parameters(self) -> list[tuple[str, nn.Parameter]]:
        """See :meth:`Regularizer.named_parameters`."""
        return [(NAME, self._raw)]

    def param_group(self) -> dict[str, Any]:
        """See :meth:`Regularizer.param_group`."""
        return {k: v for k, v in self._group.items() if v is not None}

    @torch.no_grad()
    def upper_gradients(
        self, lower: Sequence[Tensor], upper: Sequence[Tensor], solution: Vectors
    ) -> dict[str, Tensor]:
        """See :meth:`Regularizer.upper_gradients`."""
        along = dot(subtract(tuple(upper), tuple(lower)), solution)
        factor = torch.sigmoid(self._raw) / (F.softplus(self._raw) + self.damping)
        return {NAME: factor * along.to(self._raw)}

    def settings(self) -> dict[str, Any]:
        """See :meth:`Regularizer.settings`."""
        return dict(super().settings(), **self._group)
