"""A ResNet for small images that two cores can train hundreds of times."""

from typing import Any, Sequence

from mmpretrain.models.backbones import ResNet_CIFAR
from mmpretrain.models.backbones.resnet import BasicBlock

from ..registry import MODELS


@MODELS.register_module()
class SmallResNet(ResNet_CIFAR):
    """mmpretrain's ``ResNet_CIFAR`` with one block a stage and a stem with a
    stride.

    With its defaults it has 307,000 weights and gives 128 channels at a
    sixteenth of the image's edges.

    Args:
        depth (int): 10, or a depth of ``ResNet_CIFAR``. Defaults to 10.
        base_channels (int): Defaults to 16.
        stem_stride (int): Of the first convolution, 3x3. Defaults to 2.
        strides (Sequence[int]): Of the stages. Defaults to (1, 2, 2, 2).
        **kwargs: Those of ``ResNet_CIFAR``.
    """

    arch_settings = {10: (BasicBlock, (1, 1, 1, 1)),
                     **ResNet_CIFAR.arch_settings}

    def __init__(self, depth: int = 10, base_channels: int = 16,
                 stem_stride: int = 2, strides: Sequence[int] = (1, 2, 2, 2),
                 **kwargs: Any) -> None:
        super().__init__(depth, base_channels=base_channels,
                         stem_channels=base_channels, strides=strides,
                         **kwargs)
        self.conv1.stride = (stem_stride, stem_stride)
