"""Hides the differences between versions of torch, from 2.1 on.

Imports torch and the standard library only, because ``hypergradient/`` uses
it. No other module of the package asks for a version of torch.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any

import torch
import torch.utils.checkpoint
from torch.autograd import forward_ad

from .replaced import replaced
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


@contextmanager
def tf32(is_allowed: bool) -> Iterator[None]:
    """Inside, convolutions and matrix products on a GPU may use TF32 or not.

    TF32 has the range of float32 and ten bits of mantissa. torch allows it for
    convolutions by default. The settings are those of the whole process.

    Args:
        is_allowed (bool): Whether float32 values may be computed so.
    """
    try:
        kept = torch.backends.cudnn.allow_tf32, torch.get_float32_matmul_precision()
    except RuntimeError:
        # The settings of torch 2.9. If they were used, the older ones cannot be read.
        newer = [place.fp32_precision for place in _fp32_places()]
        inside = ['tf32' if is_allowed else 'ieee'] * len(newer)
        restore = partial(_set_fp32, newer)
        _set_fp32(inside)
    else:
        restore = partial(_set_tf32, *kept)
        _set_tf32(is_allowed, 'high' if is_allowed else 'highest')
    try:
        yield
    finally:
        restore()


def _set_tf32(convolutions: bool, products: str) -> None:
    torch.backends.cudnn.allow_tf32 = convolutions
    torch.set_float32_matmul_precision(products)


def _fp32_places() -> tuple[Any, ...]:
    cudnn: Any = torch.backends.cudnn
    return cudnn.conv, cudnn.rnn, torch.backends.cuda.matmul


def _set_fp32(values: list[str]) -> None:
    for place, value in zip(_fp32_places(), values, strict=True):
        place.fp32_precision = value


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


class _NonReentrant:
    """In place of torch's function that checkpoints re-entrantly."""

    @staticmethod
    def apply(function: Callable, preserve_rng_state: bool, *args: Any) -> Any:
        return torch.utils.checkpoint.checkpoint(
            function, *args, use_reentrant=False, preserve_rng_state=preserve_rng_state
        )


def plain_checkpoints() -> AbstractContextManager:
    """Inside, activation checkpointing is never re-entrant.

    Whoever asks for the re-entrant kind, also by torch's default, gets the other
    one, the only one that ``torch.autograd.grad`` can differentiate.
    """
    return replaced(torch.utils.checkpoint, 'CheckpointFunction', _NonReentrant)
