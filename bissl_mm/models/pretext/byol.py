"""BYOL with a target network that decays as stated."""

from mmengine.model import ExponentialMovingAverage
from mmpretrain.models.selfsup import BYOL as MMPretrainBYOL
from torch import nn

from ...registry import MODELS
from ...utils.check import check_in, check_keys
from ...utils.errors import ValueRefusal


@MODELS.register_module()
@check_keys
class BYOL(MMPretrainBYOL):
    r"""mmpretrain's BYOL with a constant decay of the target network.

    The target is updated once a lower step, before the loss,
    :math:`\xi \leftarrow \tau \xi + (1 - \tau) \theta`, never inside a
    Hessian-vector product; the first step after the bilevel stage has begun
    sets :math:`\xi = \theta`. On several ranks the mean gradient is that of
    one process on the union if batch statistics are, see
    ``DifferentiableSyncBN``.

    Args:
        target_decay (float): :math:`\tau`, in (0, 1). Defaults to the
            published 0.9995.
        target_schedule (str): ``'constant'`` as published, or ``'cosine'``:
            mmpretrain's rise from ``target_decay`` to 1 over the run (in the
            bilevel stage over its lower steps). Defaults to ``'constant'``.
        **kwargs: See mmpretrain's ``BYOL``; ``base_momentum`` is
            ``1 - target_decay``.

    Raises:
        ValueError: If the decay is not within its range.

    Source:
        4.2.1, arXiv:2410.02387; arXiv:2006.07733.
    """

    def __init__(
        self, target_decay: float = 0.9995, target_schedule: str = 'constant', **kwargs
    ) -> None:
        check_in('BYOL', 'target_schedule', target_schedule, ('constant', 'cosine'))
        if not 0 < target_decay < 1:
            raise ValueRefusal(
                'BYOL: target_decay must lie in (0, 1), but is '
                f'{target_decay!r}; the published value is '
                '0.9995.'
            )
        if 'base_momentum' in kwargs:
            raise ValueRefusal(
                'BYOL: base_momentum is 1 - target_decay here. '
                f'Set target_decay='
                f'{1 - kwargs["base_momentum"]:g}.'
            )
        super().__init__(base_momentum=1 - target_decay, **kwargs)
        if target_schedule == 'constant':
            self.target_net = ExponentialMovingAverage(
                nn.Sequential(self.backbone, self.neck), momentum=1 - target_decay
            )
