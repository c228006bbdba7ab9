"""SimCLR with a right Hessian on any number of ranks."""

import torch
from mmengine.dist import get_world_size
from mmpretrain.models.heads import ContrastiveHead
from mmpretrain.models.selfsup import SimCLR as MMPretrainSimCLR
from torch import Tensor
from torch.distributed.nn.functional import all_gather

from ...registry import MODELS
from ...utils.check import check_keys
from .views import check_two_views, pass_views


@MODELS.register_module()
@check_keys
class SimCLR(MMPretrainSimCLR):
    r"""mmpretrain's SimCLR with a gather that can be differentiated twice.

    mmpretrain's own gather halves the gradient on two ranks and gives a wrong
    Hessian-vector product. Here every rank computes the NT-Xent loss over the
    images of all ranks. The *mean over ranks* of gradients and products then
    equals that of one process on the union of the images. It is W times the
    gradient of mmpretrain's SimCLR on W ranks. Choose learning rates for the
    batch size of the union.

    Args:
        separate_views (bool): True gives each view its own batch statistics, as
            in the published BiSSL code. False gives both views those of one
            batch, as mmpretrain does. Defaults to False.
        **kwargs: See mmpretrain's ``SimCLR``.

    Source:
        4.2.1, arXiv:2410.02387; the loss is Eq. (1) of arXiv:2002.05709.
    """

    def __init__(self, separate_views: bool = False, **kwargs) -> None:
        super().__init__(**kwargs)
        self.separate_views = separate_views

    def loss(
        self, inputs: list[Tensor], data_samples: list, **kwargs
    ) -> dict[str, Tensor]:
        """NT-Xent loss over the images of all ranks.

        Args:
            inputs (list[Tensor]): The two views, each ``(B, C, H, W)``; B is
                the number of images of this rank and the same on all ranks.
            data_samples (list): Not used.

        Returns:
            dict[str, Tensor]: ``loss``, equal on all ranks.
        """
        check_two_views('SimCLR', inputs)
        if self.separate_views:
            networks = (self.backbone, self.neck)
            views = pass_views(networks, self._project, inputs)
            z = torch.stack(views, 1).flatten(0, 1)
        else:
            z = self._project(torch.stack(inputs, 1).flatten(0, 1))
        z = z / (torch.norm(z, p=2, dim=1, keepdim=True) + 1e-10)
        if get_world_size() > 1:
            z = torch.cat(all_gather(z))
        return dict(loss=self._nt_xent(z))

    def _project(self, images: Tensor) -> Tensor:
        return self.neck(self.backbone(images))[0]

    def _nt_xent(self, z: Tensor) -> Tensor:
        """The loss of unit vectors ``(2N, D)``; the two views of an image are
        adjacent."""
        size = z.shape[0]
        similarity = z @ z.T
        index = torch.arange(size, device=z.device).unsqueeze(1)
        # The images of a row but its own two. A mask of them would make the
        # host wait for the device.
        others = index[: size - 2].T
        others = others + 2 * (others >= index - index % 2)
        positive, negative = (
            similarity.gather(1, index + 1 - 2 * (index % 2)),
            similarity.gather(1, others),
        )
        if getattr(self.head.loss, '__func__', None) is not ContrastiveHead.loss:
            return self.head.loss(positive, negative)
        # mmpretrain's head makes its labels on the host, and the device waits.
        logits = torch.cat((positive, negative), 1) / self.head.temperature
        return self.head.loss_module(logits, torch.zeros_like(index[:, 0]))
