"""Convolution and batch norm with a cheap second derivative.

torch derives its backward formulas of both once more from elementary
operations: the weight part of a convolution becomes a convolution with a
kernel as large as the image, and batch norm some twenty passes over the data.
Written out, the second derivative of a convolution (:mod:`lean_conv`) is four
convolutions that torch has fast kernels for, and that of batch norm
(:mod:`lean_norm`) some sums over each channel and five passes.
"""

from typing import Optional

import torch
import torch.nn.functional as F
from torch.overrides import TorchFunctionMode

from .lean_conv import lean_conv
from .lean_norm import lean_batch_norm


class LeanLayers(TorchFunctionMode):
    """Inside, ``conv2d`` and ``batch_norm`` compute as ever but derive lean.

    Batch norm is replaced where it uses the statistics of the batch and keeps
    no running ones, as in :func:`bissl_mm.models.functional.pure_forward`.
    Third derivatives do not exist.

    Args:
        product_dtype (torch.dtype, optional): In which the convolutions of
            the last derivative compute; their results are of the parameters'
            type again. Loss and gradient are not touched. Defaults to None:
            the parameters'.
    """

    def __init__(self, product_dtype: Optional[torch.dtype] = None) -> None:
        super().__init__()
        self.product_dtype = product_dtype

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func is F.conv2d or func is torch.conv2d:
            result = lean_conv(self.product_dtype, *args, **kwargs)
        elif func is F.batch_norm:
            result = lean_batch_norm(*args, **kwargs)
        else:
            result = None
        return func(*args, **kwargs) if result is None else result
