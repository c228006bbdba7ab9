"""DINO: a student predicts the sharpened, centred outputs of its own average."""

import itertools
from typing import Any

import torch
from mmcv.cnn import build_norm_layer
from mmengine.dist import all_reduce, get_world_size
from mmengine.model import BaseModule, ExponentialMovingAverage
from mmpretrain.models.selfsup import BaseSelfSupervisor
from torch import Tensor, nn
from torch.nn import functional as F

from ...registry import MODELS
from ...utils.check import check_keys, check_positive_int
from ...utils.errors import ValueRefusal
from .views import pass_views


@MODELS.register_module()
@check_keys
class DINONeck(BaseModule):
    """DINO's projector: a perceptron with GELU, a unit vector, and prototypes.

    It has no kink. A ReLU's averaged outputs have a large common part, so without norms
    all images begin with nearly the same outputs. A small ResNet then did not train.

    Args:
        in_channels (int): Channels of the backbone's last output.
        out_channels (int): Number of prototypes, DINO's K.
        hid_channels (int): Width of the hidden layers. Defaults to 2048.
        bottleneck_channels (int): Length of the unit vector. Defaults to 256.
        num_layers (int): Layers before the unit vector. Defaults to 3.
        norm_cfg (dict | None): Norm between a hidden layer and its GELU. Defaults to
            None.
        with_avg_pool (bool): Whether the input is a map ``(B, C, H, W)`` that is
            averaged. Defaults to True.

    Raises:
        ValueError: If ``num_layers`` or ``out_channels`` is below 1.

    Source:
        Section 3.1 of arXiv:2104.14294; norms are an option of its authors' code.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        hid_channels: int = 2048,
        bottleneck_channels: int = 256,
        num_layers: int = 3,
        norm_cfg: dict | None = None,
        with_avg_pool: bool = True,
    ) -> None:
        super().__init__()
        for name, value in dict(
            num_layers=num_layers, out_channels=out_channels
        ).items():
            check_positive_int('DINONeck', name, value)
        self.with_avg_pool = with_avg_pool
        widths = [in_channels, *[hid_channels] * (num_layers - 1), bottleneck_channels]
        layers: list[nn.Module] = []
        for width, following in itertools.pairwise(widths):
            layers.append(nn.Linear(width, following))
            if norm_cfg:
                layers.append(build_norm_layer(norm_cfg, following)[1])
            layers.append(nn.GELU())
        # The last layer's outputs become the unit vector.
        self.mlp = nn.Sequential(*layers[: -2 if norm_cfg else -1])
        self.prototypes = nn.Linear(bottleneck_channels, out_channels, bias=False)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, x: tuple[Tensor, ...]) -> tuple[Tensor]:
        """Cosines with the prototypes, ``(B, out_channels)``, in a tuple."""
        features = x[-1]
        if self.with_avg_pool:
            features = features.mean((2, 3))
        unit = F.normalize(self.mlp(features), dim=1)
        return (F.linear(unit, F.normalize(self.prototypes.weight, dim=1)),)


@MODELS.register_module()
@check_keys
class DINO(BaseSelfSupervisor):
    r"""Self-distillation between views.

    The teacher is the moving average of backbone and neck. It sees the first two views.
    The student sees all of them, and the loss is the mean cross entropy of each
    student's view with each teacher's view of the same image but itself. Teacher and
    centre are updated once per lower step. A Hessian-vector product never updates
    them. Temperatures and decay are constant. The *mean over ranks* of gradients and
    products equals that of one process on the union of the images. Every rank needs
    the same number of images.

    Args:
        backbone (dict): Config of the backbone.
        neck (dict): ``DINONeck``.
        student_temp (float): Temperature of the student. Defaults to 0.1.
        teacher_temp (float): Temperature of the teacher. Defaults to 0.04.
        center_decay (float): Decay of the mean of the teacher's outputs. Defaults to
            0.9.
        target_decay (float): Decay of the teacher's weights, in (0, 1). Defaults to
            0.996.
        **kwargs: See mmpretrain's ``BaseSelfSupervisor``.

    Raises:
        ValueError: If a temperature or a decay is out of its range.

    Source:
        Eqs. (1) to (4) and Algorithm 1 of arXiv:2104.14294.
    """

    backbone: Any
    neck: Any
    center: Tensor
    #: Buffers that move once per lower step, in however many parts a batch passes.
    moved_once = ('center',)

    def __init__(
        self,
        backbone: dict,
        neck: dict,
        student_temp: float = 0.1,
        teacher_temp: float = 0.04,
        center_decay: float = 0.9,
        target_decay: float = 0.996,
        **kwargs,
    ) -> None:
        for name, value in dict(
            student_temp=student_temp, teacher_temp=teacher_temp
        ).items():
            if not value > 0:
                raise ValueRefusal(f'DINO: {name} must be above 0, but is {value!r}.')
        for name, value in dict(
            center_decay=center_decay, target_decay=target_decay
        ).items():
            if not 0 < value < 1:
                raise ValueRefusal(
                    f'DINO: {name} must lie in (0, 1), but is {value!r}.'
                )
        super().__init__(backbone=backbone, neck=neck, **kwargs)
        self.student_temp, self.teacher_temp = student_temp, teacher_temp
        self.center_decay = center_decay
        self.target_net = ExponentialMovingAverage(
            nn.Sequential(self.backbone, self.neck), momentum=1 - target_decay
        )
        self.register_buffer('center', torch.zeros(self.neck.prototypes.out_features))

    def loss(
        self, inputs: list[Tensor], data_samples: list, **kwargs
    ) -> dict[str, Tensor]:
        """The mean cross entropy over pairs of views.

        Args:
            inputs (list[Tensor]): The views, each ``(B, C, H, W)``; the first two are
                the teacher's, the others may have another size.
            data_samples (list): Not used.
        """
        if len(inputs) < 2:
            raise ValueRefusal(
                f'DINO: expected at least 2 views, got {len(inputs)}. Set num_views of '
                'the MultiView transform.'
            )
        self.target_net.update_parameters(nn.Sequential(self.backbone, self.neck))
        networks = [self.backbone, self.neck]
        students = [
            F.log_softmax(out / self.student_temp, dim=1)
            for out in pass_views(
                networks, lambda x: self.neck(self.backbone(x))[0], inputs
            )
        ]
        with torch.no_grad():
            target = self.target_net
            outputs = pass_views([target], lambda x: target(x)[0], inputs[:2])
            teachers = [
                F.softmax((out - self.center) / self.teacher_temp, dim=1)
                for out in outputs
            ]
            self._move_center(torch.cat(outputs))
        terms = [
            -(teacher * student).sum(1).mean()
            for i, teacher in enumerate(teachers)
            for j, student in enumerate(students)
            if i != j
        ]
        return dict(loss=torch.stack(terms).mean())

    def _move_center(self, outputs: Tensor) -> None:
        mean = outputs.mean(0)
        if get_world_size() > 1:
            all_reduce(mean, 'mean')
        self.center.lerp_(mean.to(self.center), 1 - self.center_decay)
