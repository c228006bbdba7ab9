"""Checks what mmengine's optimizer wrappers take unchecked."""

import inspect
from collections.abc import Iterator
from typing import Any

from torch.nn.utils import clip_grad_norm_, clip_grad_value_

from ..utils.check import (
    check_in,
    check_known_keys,
    check_non_negative,
    check_positive_int,
)
from ..utils.errors import TypeRefusal
from .keys import walk
from .types import type_name

#: ``clip_grad.type`` -> the function that gets the other settings, and the setting
#: that it cannot do without.
_CLIPPING = dict(
    norm=(clip_grad_norm_, 'max_norm'), value=(clip_grad_value_, 'clip_value')
)
#: Wrappers that hand these settings on; others may have settings of their own.
_WRAPPERS = ('', 'OptimWrapper', 'AmpOptimWrapper', 'ApexOptimWrapper')


def check_optim_wrappers(cfg: Any) -> None:
    """Refuse a clipping and an accumulation that would fail at the first step.

    Args:
        cfg (Config): A whole config; not changed.

    Raises:
        TypeError: For a setting of another kind, or for an unknown one.
        ValueError: For a value out of its range.
    """
    for place, wrapper in _wrappers(cfg):
        clipping = wrapper.get('clip_grad')
        if clipping is not None:
            _check_clipping(f'{place}.clip_grad', clipping)
        counts = wrapper.get('accumulative_counts')
        if counts is not None:
            check_positive_int(place, 'accumulative_counts', counts)


def _wrappers(cfg: Any) -> Iterator[tuple[str, dict]]:
    for place, node in walk('optim_wrapper', cfg.get('optim_wrapper')):
        if (
            isinstance(node, dict)
            and 'optimizer' in node
            and type_name(node.get('type')) in _WRAPPERS
        ):
            yield place, node


def _check_clipping(place: str, clipping: Any) -> None:
    if not isinstance(clipping, dict):
        raise TypeRefusal(
            f'{place} must be a dict, but is {clipping!r}. Write '
            f'dict(max_norm={clipping!r}), or None for no clipping.'
        )
    kind = clipping.get('type', 'norm')
    check_in(place, 'type', kind, tuple(_CLIPPING))
    function, needed = _CLIPPING[kind]
    known = {*inspect.signature(function).parameters, 'type'} - {'parameters'}
    given = [key for key in clipping if key not in ('_scope_', '_delete_')]
    check_known_keys(place, given, known)
    if needed not in clipping:
        raise TypeRefusal(f'{place} lacks {needed}. Write dict({needed}=10.0).')
    check_non_negative(place, needed, clipping[needed])
