"""Keys of ``paramwise_cfg``, of which mmengine passes over what it does not
know."""

import difflib
from typing import Any

from ..utils.errors import TypeRefusal
from .keys import walk
from .types import type_name

_KEYS = ('custom_keys', 'bias_lr_mult', 'bias_decay_mult', 'norm_decay_mult',
         'flat_decay_mult', 'dwconv_decay_mult', 'dcn_offset_lr_mult',
         'bypass_duplicate', 'force_default_settings')
_OF_CUSTOM = ('lr_mult', 'decay_mult')


def check_paramwise(cfg: Any) -> None:
    """Refuse what mmengine's constructor of optimizers would not read.

    Args:
        cfg (Config): A whole config; not changed.

    Raises:
        TypeError: Naming the key and the nearest that exists.
    """
    for place, node in walk('optim_wrapper', cfg.get('optim_wrapper')):
        settings = node.get('paramwise_cfg') if isinstance(node, dict) \
            else None
        # Constructors of other types have keys of their own.
        if not isinstance(settings, dict) or type_name(
                node.get('constructor')) not in (
                    '', 'DefaultOptimWrapperConstructor'):
            continue
        place += '.paramwise_cfg'
        _check(place, settings, _KEYS)
        for name, value in (settings.get('custom_keys') or {}).items():
            if isinstance(value, dict):
                _check(f'{place}.custom_keys.{name}', value, _OF_CUSTOM)


def _check(place: str, settings: dict, known: tuple) -> None:
    for key in settings:
        if key not in known and not key.startswith('_'):
            near = difflib.get_close_matches(key, known, 1, 0.)[0]
            raise TypeRefusal(f'nothing reads {place}.{key}. Did you mean '
                              f'{near!r}?')
