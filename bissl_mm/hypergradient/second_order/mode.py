"""Convolution and batch norm with a cheap second derivative.

torch derives its backward formulas of both once more from elementary
operations: the weight part of a convolution becomes a convolution with a
kernel as large as the image, and batch norm some twenty passes over the data.
Written out, the second derivative of a convolution (:mod:`conv`) is four
convolutions that torch has fast kernels for, and that of batch norm
(:mod:`norm`) some sums over each channel and five passes.
"""

import torch
import torch.nn.functional as F
from torch.overrides import TorchFunctionMode

from ...utils.compat import is_forward_mode, is_transformed
from ...utils.errors import ValueRefusal
from .conv import lean_conv
from .norm import lean_batch_norm, plain_batch_norm

#: In the names of autograd's nodes: the derivative of a gradient of torch's
#: batch, layer and instance norms.
_WRONG_NODES = 'NormBackwardBackward'
_WRONG_NORMS = (F.batch_norm, F.layer_norm, F.instance_norm)
_WRONG = (
    'Hessian: the pretext loss holds a gradient of its own, taken '
    'through a norm {}, of which torch gives a wrong third derivative. Take '
    'GroupNorm instead, leave that norm out of the penalised part, or write '
    'it in elementary operations.'
)


class LeanLayers(TorchFunctionMode):
    """Inside, ``conv2d`` and ``batch_norm`` compute as ever but derive lean.

    Batch norm is replaced where it uses the statistics of the batch and keeps
    no running ones, as in :func:`bissl_mm.models.losses.functional.pure_forward`.

    A gradient taken inside (a penalty on it, say) is computed in operations
    that torch derives any number of times, and so are both layers inside a
    transform of ``torch.func``. Outside, two derivatives exist, and a third
    is refused.

    Args:
        product_dtype (torch.dtype, optional): In which the convolutions of
            the last derivative compute; their results are of the parameters'
            type again. Loss and gradient are not touched. Defaults to None:
            the parameters'.
        is_lean (bool): False leaves both layers to torch; what it derives
            wrongly is refused all the same. Defaults to True.

    Attributes:
        product_dtype (torch.dtype, optional): May be changed between
            products.
        is_open (bool): Whether the loss is being evaluated.
    """

    def __init__(
        self, product_dtype: torch.dtype | None = None, is_lean: bool = True
    ) -> None:
        super().__init__()
        self.product_dtype = product_dtype
        self.is_lean = is_lean
        self.is_open = False

    def __enter__(self):
        self.is_open = True
        return super().__enter__()

    def __exit__(self, *args):
        self.is_open = False
        return super().__exit__(*args)

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        result = None
        if not self.is_lean:
            pass
        elif func is F.conv2d or func is torch.conv2d:
            if not is_transformed():
                result = lean_conv(self, *args, **kwargs)
        elif func is F.batch_norm:
            norm = plain_batch_norm if is_transformed() else lean_batch_norm
            result = norm(self, *args, **kwargs)
        if result is None and func in _WRONG_NORMS and is_forward_mode():
            raise ValueRefusal(
                _WRONG.format(f'by forward-mode differentiation ({func.__name__})')
            )
        return func(*args, **kwargs) if result is None else result


def check_third_derivatives(loss: torch.Tensor) -> None:
    """Refuse a loss whose Hessian torch has wrong.

    A loss that holds a gradient needs a third derivative for its Hessian.
    Those of torch's own norms take the statistics for constants, without an
    error (batch, layer and instance norm; group norm is right).

    Raises:
        ValueError: If the loss holds a gradient of one of these.
    """
    seen, nodes = set(), [loss.grad_fn]
    while nodes:
        node = nodes.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if _WRONG_NODES in node.name():
            raise ValueRefusal(_WRONG.format(f'({node.name()})'))
        nodes += [following for following, _ in node.next_functions]
