"""Checks values that a library takes unchecked, or checks too late."""

import inspect
import math
from collections.abc import Mapping
from typing import Any

from mmengine.hooks import CheckpointHook
from mmengine.runner import Runner

from ..utils.check import check_known_keys, init_keys
from ..utils.errors import ValueRefusal
from .keys import walk
from .type_names import find_class
from .types import type_name

#: Settings that are whole numbers: last part of the dotted key -> how the part
#: before it ends, and the least value. None is not checked.
_WHOLE = {
    'batch_size': ('dataloader', 1),
    'total_batch_size': ('dataloader', 1),
    'num_workers': ('dataloader', 0),
    'max_epochs': ('train_cfg', 1),
    'max_iters': ('train_cfg', 1),
    'val_interval': ('train_cfg', 1),
    'seed': ('randomness', 0),
    'interval': ('default_hooks.logger', 1),
}
#: mmengine accepts floats without a fraction here, for example 1e4.
_INTEGRAL = ('max_epochs', 'max_iters', 'val_interval')
_BOOLS = ('drop_last', 'persistent_workers', 'pin_memory', 'shuffle')
_OF_OPTIMIZERS = ('lr', 'weight_decay', 'momentum')
#: mmengine reads keys of these at once.
_DICTS = ('env_cfg', 'model', 'randomness')
_LOG_LEVELS = ('DEBUG', 'INFO', 'WARNING', 'ERROR', 'CRITICAL')


def check_values(cfg: Any) -> None:
    """Refuse values of the wrong kind.

    Args:
        cfg (Config): A whole config; not changed.

    Raises:
        TypeError: For a key of a checkpoint hook at which saving would fail.
        ValueError: With the key and the value. Also for keys of which only one may be.
    """
    level = cfg.get('log_level', 'INFO')
    if isinstance(level, str) and level not in _LOG_LEVELS:
        _refuse('log_level', f'one of {", ".join(_LOG_LEVELS)}', level)
    _check_containers(cfg)
    for first in cfg:
        for place, node in walk(first, cfg[first]):
            parent, _, name = place.rpartition('.')
            if node is None:
                continue
            if name in _WHOLE:
                owner, least = _WHOLE[name]
                if parent.endswith(owner) and not _is_whole(
                    node, least, name in _INTEGRAL
                ):
                    _refuse(place, f'a whole number of at least {least}', node)
            elif name == 'num_classes' and first == 'model':
                if isinstance(node, (str, float)):
                    _refuse(place, 'a whole number', node)
            elif name in _BOOLS:
                if parent.endswith(('dataloader', 'sampler')) and not isinstance(
                    node, (bool, int)
                ):
                    _refuse(place, 'True or False', node)
            elif (
                name in _OF_OPTIMIZERS
                and first == 'optim_wrapper'
                and parent.endswith('optimizer')
            ):
                if not _is_number(node):
                    _refuse(place, 'a number of at least 0', node)
            elif name == 'temperature' and first == 'model':
                if not _is_number(node) or node == 0:
                    _refuse(place, 'a number above 0', node)
            elif name == 'std' and isinstance(node, (list, tuple)):
                # Pixels are divided by it.
                if not all(_is_number(value) and value > 0 for value in node):
                    _refuse(place, 'a list of numbers above 0', list(node))
            elif isinstance(node, dict) and parent in ('default_hooks', 'custom_hooks'):
                _check_checkpoint_hook(place, node)
    _check_loop(cfg.get('train_cfg'))


def _check_containers(cfg: Any) -> None:
    """Refuse what mmengine answers with an error that names no key."""
    for key in _DICTS:
        if key in cfg and not isinstance(cfg[key], Mapping):
            _refuse(key, 'a dict', cfg[key])
    schedules = cfg.get('param_scheduler')
    if isinstance(schedules, Mapping) and 'type' not in schedules:
        for level, value in schedules.items():
            if not isinstance(value, (Mapping, list, tuple)):
                _refuse(f'param_scheduler.{level}', 'a list of schedules, or []', value)


def _check_loop(train_cfg: Any) -> None:
    """Refuse a training loop that is chosen twice, or that would count iterations
    where epochs are given."""
    if not isinstance(train_cfg, Mapping):
        return
    chosen = {'type', 'by_epoch'} & set(train_cfg)
    if len(chosen) == 2:
        raise ValueRefusal(
            f'train_cfg has the type {type_name(train_cfg["type"])!r} and '
            f'by_epoch={train_cfg["by_epoch"]}, which chooses a type, too. Remove '
            'by_epoch; if it is of the base, write dict(_delete_=True, type=..., ...).'
        )
    if not chosen and 'max_epochs' in train_cfg:
        raise ValueRefusal(
            f'train_cfg has max_epochs={train_cfg["max_epochs"]} and no by_epoch, so '
            'mmengine would count iterations. Add by_epoch=True.'
        )


def check_option_value(key: str, text: str, present: Any, value: Any) -> None:
    """Refuse text for a number or for True and False, a decimal comma, and a single
    value in the place of a component.

    Args:
        key (str): The key in ``--cfg-options``.
        text (str): The value as it was typed.
        present: The value in the config.
        value: The value that was read from the text.

    Raises:
        ValueError: With the key and both values.
    """
    where = f'--cfg-options {key}={text}: '
    parts = _components(present)
    # mmpretrain's data sets take one folder there, too.
    if (
        parts
        and isinstance(value, (str, int, float))
        and not key.endswith('data_prefix')
    ):
        raise ValueRefusal(
            f'{where}{key} is a {"dict" if isinstance(present, Mapping) else "list"} in '
            f'the config, in whose place {value!r} cannot stand. Type one option for '
            f'each key in it, such as {key}.{parts[0]}=VALUE, or {key}=None.'
        )
    if isinstance(present, bool):
        if isinstance(value, str):
            raise ValueRefusal(
                f'{where}{key} is {present} in the config. Write True or False.'
            )
    elif isinstance(present, (int, float)):
        if isinstance(value, str):
            raise ValueRefusal(
                f'{where}{key} is a number in the config, {present!r}, but '
                f'{value!r} is not. Write digits, and a point before the '
                'decimals.'
            )
        if isinstance(present, float) and isinstance(value, list) and len(value) == 2:
            raise ValueRefusal(
                f'{where}{key} is one number in the config, {present!r}, but '
                'a comma makes a list. Write a point before the decimals.'
            )


def _components(present: Any) -> list[str]:
    """Keys within a dict, or within a list that has one."""
    if isinstance(present, Mapping):
        return [str(name) for name in present]
    if isinstance(present, (list, tuple)):
        return [f'{i}.{name}' for i, p in enumerate(present) for name in _components(p)]
    return []


def _refuse(place: str, kind: str, value: Any) -> None:
    raise ValueRefusal(
        f'{place} must be {kind}, but is {value!r}. Correct '
        f'it in the config, or type --cfg-options '
        f'{place}=VALUE.'
    )


def _is_whole(value: Any, least: int, integral: bool) -> bool:
    if integral and isinstance(value, float) and value.is_integer():
        value = int(value)
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _is_number(value: Any) -> bool:
    return (
        isinstance(value, (int, float))
        and not isinstance(value, bool)
        and math.isfinite(value)
        and value >= 0
    )


def _check_checkpoint_hook(place: str, hook: Mapping) -> None:
    """Refuse unknown keys, at which mmengine's hook fails when it saves."""
    kind = hook.get('type')
    cls = find_class(kind.rpartition('.')[2]) if isinstance(kind, str) else kind
    if isinstance(cls, type) and issubclass(cls, CheckpointHook):
        saving = set(inspect.signature(Runner.save_checkpoint).parameters)
        check_known_keys(
            place,
            (k for k in hook if k != '_scope_'),
            {*init_keys(cls), *saving - {'self'}, 'type', 'priority'},
        )
