"""A ResNet for small images and short experiments on a processor."""

from collections.abc import Sequence
from typing import Any

from mmengine.model import BaseModule
from mmpretrain.models.backbones import ResNet_CIFAR
from mmpretrain.models.backbones.resnet import BasicBlock, ResLayer, get_expansion
from torch import Tensor

from ..registry import MODELS


@MODELS.register_module()
class SmallResNet(ResNet_CIFAR):
    """mmpretrain's ``ResNet_CIFAR`` with one block per stage and a strided
    stem.

    With its defaults it has 307,000 weights. It returns 128 channels at a
    sixteenth of the image's edges.

    Args:
        depth (int): 10, or a depth of ``ResNet_CIFAR``. Defaults to 10.
        base_channels (int): Channels of the first stage. Defaults to 16.
        stem_stride (int): Stride of the first convolution, 3x3. Defaults to 2.
        strides (Sequence[int]): Strides of the stages. Defaults to
            (1, 2, 2, 2).
        **kwargs: See ``ResNet_CIFAR``.
    """

    arch_settings = {10: (BasicBlock, (1, 1, 1, 1)), **ResNet_CIFAR.arch_settings}

    def __init__(
        self,
        depth: int = 10,
        base_channels: int = 16,
        stem_stride: int = 2,
        strides: Sequence[int] = (1, 2, 2, 2),
        **kwargs: Any,
    ) -> None:
        super().__init__(
            depth,
            base_channels=base_channels,
            stem_channels=base_channels,
            strides=strides,
            **kwargs,
        )
        self.conv1.stride = (stem_stride, stem_stride)


@MODELS.register_module()
class SmallResLayer(BaseModule):
    """The last stage of a :class:`SmallResNet` as a detector's shared head.

    mmdet's ``ResLayer`` has only the widths of a ResNet with 64 base channels.
    Weights have the same names as in the backbone, so one checkpoint serves
    both parts of a C4 detector.

    Args:
        depth (int): That of the backbone. Defaults to 10.
        base_channels (int): Those of the backbone. Defaults to 16.
        stage (int): Number of the stage, from 0. Defaults to 3.
        stride (int): Stride of its first block. Defaults to 2.
        norm_cfg (dict): Config of the norms. Defaults to ``dict(type='BN')``.
        init_cfg (dict or list, optional): Defaults to that of mmpretrain's
            ResNet.
    """

    def __init__(
        self,
        depth: int = 10,
        base_channels: int = 16,
        stage: int = 3,
        stride: int = 2,
        norm_cfg: dict | None = None,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(
            init_cfg
            or [
                dict(type='Kaiming', layer=['Conv2d']),
                dict(type='Constant', val=1, layer=['_BatchNorm']),
            ]
        )
        block, blocks = SmallResNet.arch_settings[depth]
        width = base_channels * get_expansion(block) * 2**stage
        self.name = f'layer{stage + 1}'
        self.add_module(
            self.name,
            ResLayer(
                block,
                blocks[stage],
                width // 2,
                width,
                stride=stride,
                norm_cfg=dict(norm_cfg or dict(type='BN')),
            ),
        )

    def forward(self, regions: Tensor) -> Tensor:
        """Features of regions.

        Args:
            regions (Tensor): Shape (R, C, H, W).

        Returns:
            Tensor: Shape (R, 2C, H / stride, W / stride).
        """
        return getattr(self, self.name)(regions)
