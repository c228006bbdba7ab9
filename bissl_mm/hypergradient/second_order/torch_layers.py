"""Layers as torch derives them, and the derivatives that it has wrong."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch.overrides import TorchFunctionMode

from ...utils.compat import is_forward_mode
from ...utils.errors import Refusal, RuntimeRefusal, ValueRefusal

#: Part of the names of autograd's nodes for the derivative of a gradient of
#: torch's batch, layer and instance norms.
_WRONG_NODES = 'NormBackwardBackward'
_WRONG_NORMS = (F.batch_norm, F.layer_norm, F.instance_norm)
_WRONG = (
    'Hessian: the pretext loss contains a gradient of its own, taken '
    'through a norm {}. torch gives a wrong third derivative of this norm. Take '
    'GroupNorm instead, leave that norm out of the penalised part, write it in '
    'elementary operations, or, in a network that is smooth throughout, set '
    "optim_wrapper.hypergradient.curvature='differences'."
)

#: What torch says of a function that it can derive only once.
_ONCE = re.compile(
    'derivative for .* is not implemented|not (currently )?support double backward'
)
_NO_SECOND = (
    'pretext model: a layer or the loss has no second derivative, which products '
    'need {}. In a network that is smooth throughout, set '
    "optim_wrapper.hypergradient.curvature='differences', which needs none."
)


@contextmanager
def derived_twice() -> Iterator[None]:
    """Inside, an error that means a missing second derivative says so.

    Raises:
        RuntimeError: Instead of torch's.
    """
    try:
        yield
    except Refusal:
        raise
    except RuntimeError as error:
        if not _ONCE.search(str(error)):
            raise
        (first, *_) = str(error).splitlines()
        raise RuntimeRefusal(_NO_SECOND.format(f'(torch: {first})')) from error


class TorchLayers(TorchFunctionMode):
    """Inside, a pretext loss is evaluated with torch's own layers.

    Forward-mode derivatives of torch's norms are refused, because torch gives
    wrong ones. ``hardsigmoid`` is written in operations that torch derives twice;
    it derives its own once.

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
        if func is F.hardsigmoid:
            return _hardsigmoid(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))


def _hardsigmoid(input: torch.Tensor, inplace: bool = False) -> torch.Tensor:
    """The channel attention of CSPNeXt, the backbone of RTMDet, has it."""
    result = F.relu6(input + 3) / 6
    return input.copy_(result) if inplace else result


def check_derivatives(*values: torch.Tensor) -> None:
    """Refuse a loss whose Hessian torch computes wrongly, or not at all.

    A loss that contains a gradient needs a third derivative for its Hessian.
    In the third derivatives of its own norms, torch treats the statistics as
    constants and gives no error. This concerns batch, layer and instance
    norm; group norm is right. The second derivative of a function that is
    ``once_differentiable`` is zero, also without an error.

    Args:
        *values (Tensor): Scalars or outputs, with their graphs.

    Raises:
        ValueError: If a graph contains a gradient of one of these norms.
        RuntimeError: If it contains a function without second derivative.
    """
    seen, nodes = set(), [value.grad_fn for value in values]
    while nodes:
        node = nodes.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if _WRONG_NODES in node.name():
            raise ValueRefusal(_WRONG.format(f'({node.name()})'))
        if _is_derived_once(node):
            raise RuntimeRefusal(_NO_SECOND.format(f'({node.name()})'))
        nodes += [following for following, _ in node.next_functions]


def _is_derived_once(node: torch.autograd.graph.Node) -> bool:
    function = getattr(node, '_forward_cls', None)
    backward = getattr(function, 'backward', None)
    # once_differentiable wraps a method in one of its own module.
    return hasattr(backward, '__wrapped__') and (
        getattr(backward, '__globals__', {}).get('__name__')
        == torch.autograd.function.__name__
    )
