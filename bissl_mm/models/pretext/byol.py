"""BYOL with a constant decay of its target network."""

import torch
from mmengine.model import ExponentialMovingAverage
from mmpretrain.models.selfsup import BYOL as MMPretrainBYOL
from torch import Tensor, nn

from ...registry import MODELS
from ...utils.check import check_in, check_keys
from ...utils.errors import ValueRefusal
from .views import check_two_views, pass_views


@MODELS.register_module()
@check_keys
class BYOL(MMPretrainBYOL):
    r"""mmpretrain's BYOL with a constant decay of the target network.

    The target is updated once per lower step, before the loss, by
    :math:`\xi \leftarrow \tau \xi + (1 - \tau) \theta`. A Hessian-vector
    product never updates it. The first step of the bilevel stage sets
    :math:`\xi = \theta`. With several ranks, the mean gradient equals that of
    one process on the union of the images if the batch norms take statistics
    over all ranks, see ``DifferentiableSyncBN``.

    Args:
        target_decay (float): :math:`\tau`, in (0, 1). Defaults to the
            published 0.9995.
        target_schedule (str): ``'constant'``, as published, or ``'cosine'``,
            mmpretrain's rise from ``target_decay`` to 1 over the run (in the
            bilevel stage over its lower steps). Defaults to ``'constant'``.
        **kwargs: See mmpretrain's ``BYOL``. In place of ``base_momentum`` set
            ``target_decay``, which is 1 minus it.

    Raises:
        ValueError: If the decay is out of its range.

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

    def loss(
        self, inputs: list[Tensor], data_samples: list, **kwargs
    ) -> dict[str, Tensor]:
        """mmpretrain's loss; both views pass a network together where
        :func:`pass_views` allows it.

        Args:
            inputs (list[Tensor]): The two views, each ``(B, C, H, W)``.
            data_samples (list): Not used.
        """
        check_two_views('BYOL', inputs)
        online = nn.Sequential(self.backbone, self.neck)
        first, second = pass_views([online], lambda x: online(x)[0], inputs)
        with torch.no_grad():
            self.target_net.update_parameters(online)
            target = self.target_net
            to_first, to_second = pass_views([target], lambda x: target(x)[0], inputs)
        total = self.head.loss(first, to_second) + self.head.loss(second, to_first)
        return dict(loss=2.0 * total)
