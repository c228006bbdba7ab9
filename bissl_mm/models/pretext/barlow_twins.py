"""The head of Barlow Twins with a right Hessian on any number of ranks."""

from mmengine.dist import get_world_size
from mmpretrain.models.heads import LatentCrossCorrelationHead
from torch import Tensor
from torch.distributed.nn.functional import all_reduce

from ...registry import MODELS
from .norm import DifferentiableSyncBatchNorm


@MODELS.register_module()
class CrossCorrelationHead(LatentCrossCorrelationHead):
    """mmpretrain's head with a reduction that can be differentiated twice.

    mmpretrain sums the correlation matrices of all W ranks without a
    derivative. Its gradient is 1/W of that of one process on the union of the
    images, and its Hessian-vector product is wrong. Here the means over ranks of
    both equal those of one process on the union. Every rank needs the same
    number of images.

    Args:
        in_channels (int): Length of the projections.
        loss (dict): ``CrossCorrelationLoss``.
        **kwargs: See mmpretrain's ``LatentCrossCorrelationHead``.

    Source:
        arXiv:2103.03230.
    """

    def __init__(self, in_channels: int, loss: dict, **kwargs) -> None:
        super().__init__(in_channels, loss, **kwargs)
        self.bn = DifferentiableSyncBatchNorm(in_channels, affine=False)

    def loss(self, input: Tensor, target: Tensor) -> Tensor:
        """The scalar loss of two projections ``(B, C)`` with B images per
        rank."""
        matrix = self.bn(input).T @ self.bn(target) / input.size(0)
        if get_world_size() > 1:
            matrix = all_reduce(matrix) / get_world_size()
        return self.loss_module(matrix)
