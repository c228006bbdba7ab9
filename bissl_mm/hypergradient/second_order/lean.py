"""Convolution and batch norm with a cheap second derivative.

torch derives its own backward formulas of both layers a second time, from
elementary operations. The weight part of a convolution then becomes a
convolution with a kernel as large as the image, and batch norm takes some
twenty passes over the data. Here the second derivatives are written out. That
of a convolution (:mod:`conv`) is four convolutions, for which torch has fast
kernels. That of batch norm (:mod:`norm`) is a few sums over each channel and
five passes over the data.
"""

import torch
import torch.nn.functional as F

from ...utils.compat import is_transformed
from ...utils.scales import Scales
from .conv import ConvLayer, lean_conv
from .norm import NormLayer, lean_batch_norm
from .plain_norm import plain_batch_norm
from .small_images import SmallConv, SmallNorm
from .torch_layers import TorchLayers


class LeanLayers(TorchLayers):
    """Inside, ``conv2d`` and ``batch_norm`` have written-out derivatives.

    Their values are torch's. Batch norm is replaced where it uses the
    statistics of the batch and keeps no running ones, as in
    :func:`bissl_mm.models.losses.functional.pure_forward`.

    A gradient that the loss itself takes (a penalty on it, for example) is
    computed in operations that torch derives any number of times. So are both
    layers inside a transform of ``torch.func``. Outside the mode two
    derivatives exist, and a third one is refused.

    Args:
        product_dtype (torch.dtype, optional): The type in which the
            convolutions of a product compute; their results have the
            parameters' type again. Loss and gradient do not change. Defaults
            to None: that of the parameters.
        small_image_kernels (bool): Whether layers of a few pixels get the
            kernels of :mod:`small_images`. Defaults to True.

    Attributes:
        product_dtype (torch.dtype, optional): May be changed between
            products.
        conv_layer, norm_layer (type): What computes the two layers.
        scales (Scales): Of the batch norms in the loss.
    """

    def __init__(
        self, product_dtype: torch.dtype | None = None, small_image_kernels: bool = True
    ) -> None:
        super().__init__()
        self.product_dtype = product_dtype
        self.scales = Scales()
        self.conv_layer, self.norm_layer = (
            (SmallConv, SmallNorm) if small_image_kernels else (ConvLayer, NormLayer)
        )

    def __enter__(self):
        self.scales.begin()
        return super().__enter__()

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        result = None
        if func is F.conv2d or func is torch.conv2d:
            if not is_transformed():
                result = lean_conv(self, *args, **kwargs)
        elif func is F.batch_norm:
            norm = plain_batch_norm if is_transformed() else lean_batch_norm
            result = norm(self, *args, **kwargs)
        if result is not None:
            return result
        return super().__torch_function__(func, types, args, kwargs)
