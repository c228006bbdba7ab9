"""Layers as torch derives them, and the derivatives that it has wrong."""

import torch
import torch.nn.functional as F
from torch.overrides import TorchFunctionMode

from ...utils.compat import is_forward_mode
from ...utils.errors import ValueRefusal

#: Part of the names of autograd's nodes for the derivative of a gradient of
#: torch's batch, layer and instance norms.
_WRONG_NODES = 'NormBackwardBackward'
_WRONG_NORMS = (F.batch_norm, F.layer_norm, F.instance_norm)
_WRONG = (
    'Hessian: the pretext loss contains a gradient of its own, taken '
    'through a norm {}. torch gives a wrong third derivative of this norm. Take '
    'GroupNorm instead, leave that norm out of the penalised part, or write '
    'it in elementary operations.'
)


class TorchLayers(TorchFunctionMode):
    """Inside, a pretext loss is evaluated with torch's own layers.

    Forward-mode derivatives of torch's norms are refused, because torch gives
    wrong ones.

    Attributes:
        product_dtype (torch.dtype, optional): The type in which the
            convolutions of a product compute. None: that of the parameters.
            torch's own layers do not read it.
        is_open (bool): Whether the loss is being evaluated.
    """

    product_dtype: torch.dtype | None = None

    def __init__(self) -> None:
        super().__init__()
        self.is_open = False

    def __enter__(self):
        self.is_open = True
        return super().__enter__()

    def __exit__(self, *args):
        self.is_open = False
        return super().__exit__(*args)

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func in _WRONG_NORMS and is_forward_mode():
            raise ValueRefusal(
                _WRONG.format(f'by forward-mode differentiation ({func.__name__})')
            )
        return func(*args, **(kwargs or {}))


def check_third_derivatives(loss: torch.Tensor) -> None:
    """Refuse a loss whose Hessian torch computes wrongly.

    A loss that contains a gradient needs a third derivative for its Hessian.
    In the third derivatives of its own norms, torch treats the statistics as
    constants and gives no error. This concerns batch, layer and instance
    norm; group norm is right.

    Args:
        loss (Tensor): A scalar with its graph.

    Raises:
        ValueError: If the loss contains a gradient of one of these norms.
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
