"""One interface to what differs between versions of torch, 2.1 to date.

Imports torch and the standard library only: the hypergradient core uses it.
Elsewhere in the package a version is never asked for.
"""

from contextlib import AbstractContextManager

import torch
from torch.autograd import forward_ad

from .versions import release

_TORCH = release(torch.__version__)


def is_autocast_enabled(device_type: str) -> bool:
    """``torch.is_autocast_enabled`` of 2.4, which takes the device.

    Args:
        device_type (str): ``'cpu'``, ``'cuda'`` or another of torch's.
    """
    if _TORCH >= (2, 4):
        return torch.is_autocast_enabled(device_type)
    if device_type == 'cpu':
        return torch.is_autocast_cpu_enabled()
    return torch.is_autocast_enabled()


def is_forward_mode() -> bool:
    """Whether forward-mode derivatives are under way, also by ``torch.func``."""
    return forward_ad._current_level >= 0


def is_transformed() -> bool:
    """Whether a transform of ``torch.func`` or forward-mode derivatives are
    under way, which a ``torch.autograd.Function`` without formulas of its own
    for them does not take."""
    return torch._C._are_functorch_transforms_active() or is_forward_mode()


def plain_attention() -> AbstractContextManager:
    """Inside, attention takes torch's plain implementation, the only one
    that has a second derivative."""
    if _TORCH >= (2, 3):
        from torch.nn.attention import SDPBackend, sdpa_kernel

        return sdpa_kernel(SDPBackend.MATH)
    return torch.backends.cuda.sdp_kernel(
        enable_flash=False, enable_math=True, enable_mem_efficient=False
    )
