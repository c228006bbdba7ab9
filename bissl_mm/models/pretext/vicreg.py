"""VICReg: invariance, variance and covariance of two views' projections."""

from typing import Any

import torch
from mmengine.dist import get_world_size
from mmengine.model import BaseModule
from mmpretrain.models.selfsup import BaseSelfSupervisor
from torch import Tensor
from torch.distributed.nn.functional import all_gather
from torch.nn import functional as F

from ...registry import MODELS
from ...utils.check import check_keys, check_non_negative
from ...utils.errors import ValueRefusal
from .views import check_two_views, pass_views


@MODELS.register_module()
@check_keys
class VICRegHead(BaseModule):
    r"""The loss of VICReg over the images of all ranks.

    .. math:: \lambda s(Z, Z') + \mu (v(Z) + v(Z')) + \nu (c(Z) + c(Z'))

    s is the mean squared difference, v the mean over columns of
    :math:`\max(0, 1 - \sqrt{\mathrm{Var} + \epsilon})`, c the sum of squares off the
    diagonal of the covariance matrix, divided by the number of columns. The *mean
    over ranks* of its gradients and Hessian-vector products equals that of one
    process on the union of the images. Every rank needs the same number of images.

    Args:
        sim_weight (float): :math:`\lambda`. Defaults to 25.
        var_weight (float): :math:`\mu`. Defaults to 25.
        cov_weight (float): :math:`\nu`. Defaults to 1.
        eps (float): :math:`\epsilon`. Defaults to 1e-4.

    Raises:
        ValueError: If a number is negative.

    Source:
        Eqs. (1) to (6) and Algorithm 1 of arXiv:2105.04906. As in its Algorithm 1, s
        is divided by the number of columns, too.
    """

    def __init__(
        self,
        sim_weight: float = 25.0,
        var_weight: float = 25.0,
        cov_weight: float = 1.0,
        eps: float = 1e-4,
    ) -> None:
        super().__init__()
        given = dict(
            sim_weight=sim_weight, var_weight=var_weight, cov_weight=cov_weight, eps=eps
        )
        for name, value in given.items():
            check_non_negative('VICRegHead', name, value)
        self.sim_weight, self.var_weight = sim_weight, var_weight
        self.cov_weight, self.eps = cov_weight, eps

    def loss(self, first: Tensor, second: Tensor) -> dict[str, Tensor]:
        """The three terms of the projections ``(B, D)`` of two views, B images per
        rank and at least two in all.

        Returns:
            dict[str, Tensor]: ``loss_sim``, ``loss_var`` and ``loss_cov``, weighted;
            they are equal on all ranks.
        """
        if get_world_size() > 1:
            first, second = torch.cat(
                all_gather(torch.stack([first, second], 1))
            ).unbind(1)
        if len(first) < 2:
            raise ValueRefusal(
                'VICReg: the variance of one image is not defined. Set a batch_size of '
                'at least 2.'
            )
        return dict(
            loss_sim=self.sim_weight * F.mse_loss(first, second),
            loss_var=self.var_weight * (self._variance(first) + self._variance(second)),
            loss_cov=self.cov_weight * (_covariance(first) + _covariance(second)),
        )

    def _variance(self, z: Tensor) -> Tensor:
        return F.relu(1 - torch.sqrt(z.var(0) + self.eps)).mean()


def _covariance(z: Tensor) -> Tensor:
    z = z - z.mean(0)
    matrix = z.T @ z / (len(z) - 1)
    return (matrix.square().sum() - matrix.diagonal().square().sum()) / z.shape[1]


@MODELS.register_module()
@check_keys
class VICReg(BaseSelfSupervisor):
    """A pretext model whose two views have batch statistics of their own.

    Args:
        backbone (dict): Config of the backbone.
        neck (dict): Config of the projector, for example ``NonLinearNeck`` with three
            layers of 8192.
        head (dict): ``VICRegHead``.
        **kwargs: See mmpretrain's ``BaseSelfSupervisor``.

    Source:
        arXiv:2105.04906.
    """

    backbone: Any
    neck: Any
    head: Any

    def __init__(self, backbone: dict, neck: dict, head: dict, **kwargs) -> None:
        super().__init__(backbone=backbone, neck=neck, head=head, **kwargs)

    def loss(
        self, inputs: list[Tensor], data_samples: list, **kwargs
    ) -> dict[str, Tensor]:
        """The three terms of :class:`VICRegHead`.

        Args:
            inputs (list[Tensor]): The two views, each ``(B, C, H, W)``.
            data_samples (list): Not used.
        """
        check_two_views('VICReg', inputs)
        networks = [self.backbone, self.neck]
        return self.head.loss(
            *pass_views(networks, lambda x: self.neck(self.backbone(x))[0], inputs)
        )
