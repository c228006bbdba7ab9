"""Checks the keys of ``paramwise_cfg``; mmengine ignores unknown ones."""

import difflib
from typing import Any

from ..utils.errors import TypeRefusal
from .keys import walk
from .types import type_name

_KEYS = (
    'custom_keys',
    'bias_lr_mult',
    'bias_decay_mult',
    'norm_decay_mult',
    'flat_decay_mult',
    'dwconv_decay_mult',
    'dcn_offset_lr_mult',
    'bypass_duplicate',
    'force_default_settings',
)
_OF_CUSTOM = ('lr_mult', 'decay_mult')


def check_paramwise(cfg: Any) -> None:
    """Refuse keys that mmengine's optimizer constructor would not read.

    Args:
        cfg (Config): A whole config; not changed.

    Raises:
        TypeError: With the key and the nearest existing one.
    """
    for place, node in walk('optim_wrapper', cfg.get('optim_wrapper')):
        settings = node.get('paramwise_cfg') if isinstance(node, dict) else None
        # Constructors of other types have keys of their own.
        if not isinstance(settings, dict) or type_name(node.get('constructor')) not in (
            '',
            'DefaultOptimWrapperConstructor',
        ):
            continue
        place += '.paramwise_cfg'
        _check(place, settings, _KEYS)
        # Any other key goes to the optimizer, for example lars_exclude.
        for name, value in (settings.get('custom_keys') or {}).items():
            if isinstance(value, dict):
                _check(f'{place}.custom_keys.{name}', value, _OF_CUSTOM, 0.6)


def _check(place: str, settings: dict, known: tuple, cutoff: float = 0.0) -> None:
    for key in settings:
        near = difflib.get_close_matches(key, known, 1, cutoff)
        if near and key not in known and not key.startswith('_'):
            raise TypeRefusal(f'nothing reads {place}.{key}. Did you mean {near[0]!r}?')
