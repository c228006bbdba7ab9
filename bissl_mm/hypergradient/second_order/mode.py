"""Who derives convolutions and batch norms a second time."""

import torch

from .lean import LeanLayers
from .torch_layers import TorchLayers


def layers_of(
    second_order: str,
    product_dtype: torch.dtype | None = None,
    small_image_kernels: bool = True,
) -> TorchLayers:
    """A mode, inside of which pretext losses are evaluated.

    Args:
        second_order (str): ``'lean'`` gives :class:`LeanLayers`, ``'torch'``
            :class:`TorchLayers`, which reads neither of the other arguments.
        product_dtype (torch.dtype, optional): See :class:`LeanLayers`.
        small_image_kernels (bool): See :class:`LeanLayers`.
    """
    if second_order == 'lean':
        return LeanLayers(product_dtype, small_image_kernels)
    return TorchLayers()
