"""Hides the differences between versions of torch, from 2.1 on.

Imports torch and the standard library only, because ``hypergradient/`` uses
it. No other module of the package asks for a version of torch.
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
    """Whether forward-mode derivatives are active, also by ``torch.func``."""
    return forward_ad._current_level >= 0


def is_transformed() -> bool:
    """Whether a ``torch.func`` transform or forward-mode AD is active.

    A ``torch.autograd.Function`` needs formulas of its own for them.
    """
    return torch._C._are_functorch_transforms_active() or is_forward_mode()


def plain_attention() -> AbstractContextManager:
    """Inside, attention uses torch's plain implementation.

    It is the only one that has a second derivative.
    """
    if _TORCH >= (2, 3):
        from torch.nn.attention import SDPBackend, sdpa_kernel

        return sdpa_kernel(SDPBackend.MATH)
    return torch.backends.cuda.sdp_kernel(
        enable_flash=False, enable_math=True, enable_mem_efficient=False
    )
