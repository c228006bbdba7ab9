"""Reads the values of ``--cfg-options`` and puts them into a config."""

import ast
import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.config import Config, ConfigDict, DictAction
from mmengine.registry import OPTIMIZERS, Registry

from ..utils.errors import ValueRefusal
from .types import type_name
from .values import check_option_value

#: Keys whose value is a path, in which commas and blanks have no meaning.
_PATHS = (
    'ann_file',
    'checkpoint',
    'data_path',
    'data_prefix',
    'data_root',
    'img_dir',
    'img_path',
    'load_from',
    'pretrained',
    'pretrained_head',
    'seg_map_path',
    'work_dir',
)


class OptionText(str):
    """A value as it was typed. Its key decides how it is read."""


def split_options(texts: Sequence[str]) -> dict[str, OptionText]:
    """The options that were typed, as a dict.

    Args:
        texts (Sequence[str]): Each ``KEY=VALUE``.

    Raises:
        ValueError: If a text has another form.
    """
    options = {}
    for text in texts:
        key, equals, value = text.partition('=')
        if not equals or not key.strip():
            raise ValueRefusal(
                f'--cfg-options: {text!r} is not KEY=VALUE. Write it without '
                'blanks around "=", for example '
                'train_dataloader.batch_size=16, and put quotes around a '
                'value with blanks.'
            )
        options[key.strip()] = OptionText(value)
    return options


def merge_options(cfg: Config, options: Mapping[str, Any]) -> list[str]:
    """Put options into a config.

    Args:
        cfg (Config): Changed in place.
        options (dict): Values by dotted keys. The key decides how an
            :class:`OptionText` is read; anything else is taken as it is.

    Returns:
        list[str]: Lines about settings that a new type does not keep.

    Raises:
        ValueError: If a key goes through a value that has no keys, or if text
            is given for a number.
    """
    values = {
        key: _value(cfg, key, value) if isinstance(value, OptionText) else value
        for key, value in options.items()
    }
    for key, value in values.items():
        _check_way(cfg, key)
        if isinstance(options[key], OptionText):
            check_option_value(key, options[key], _present(cfg, key), value)
    notes = _drop_settings_of_other_types(cfg, values)
    cfg.merge_from_dict(values)
    return notes


def _check_way(cfg: Any, key: str) -> None:
    """Refuse a dotted key that goes through a value without such keys."""
    parts = key.split('.')
    for i, part in enumerate(parts):
        place, where = '.'.join(parts[:i]), f'--cfg-options {key}: '
        if isinstance(cfg, (list, tuple)):
            if not part.isdigit() or int(part) >= len(cfg):
                raise ValueRefusal(
                    f'{where}{place} is a list of {len(cfg)} entries. Write a '
                    f'whole number below {len(cfg)} instead of {part!r}.'
                )
            cfg = cfg[int(part)]
        elif hasattr(cfg, 'get'):
            if part not in cfg:
                return
            cfg = cfg.get(part)
        else:
            raise ValueRefusal(
                f'{where}{place} is {cfg!r}, which has no key {part!r}. Correct the key.'
            )


def _value(cfg: Config, key: str, given: OptionText) -> Any:
    text = str(given)
    present = _present(cfg, key)
    if text == 'None':
        return None
    if text[:1] in '[(' and text[:1] and not _is_path(key, present, text):
        try:
            return ast.literal_eval(text)
        except (ValueError, SyntaxError):
            pass
    elif not isinstance(present, (list, tuple)) and (
        _is_path(key, present, text) or ' ' in text and ',' not in text
    ):
        quoted = len(text) > 1 and text[0] == text[-1] and text[0] in '\'"'
        return text[1:-1] if quoted else text
    try:
        return DictAction._parse_iterable(text)
    except AssertionError as error:
        raise ValueRefusal(
            f'--cfg-options {key}={text}: the value cannot be read ({error}). Check '
            'its brackets and quotes.'
        ) from error
    except RecursionError as error:
        # mmengine's parser ends like this at dict(a=1, b=2).
        raise ValueRefusal(
            f'--cfg-options {key}={text}: the value cannot be read. For a dict type '
            f'one option for each key, such as {key}.type=NAME.'
        ) from error


def _is_path(key: str, present: Any, text: str) -> bool:
    parts = key.split('.')
    # Several folders are written as a list, in brackets.
    if (
        isinstance(present, (list, tuple))
        or text[:1] in ('[', '(')
        and text[-1:] in (']', ')')
    ):
        return False
    return (
        parts[-1] in _PATHS
        or parts[-2:-1] == ['data_prefix']
        or isinstance(present, str)
        and '/' in present
        or '\\' in text
        or '/' in text
        and '=' not in text
        and ',' not in text
    )


def _present(cfg: Any, key: str) -> Any:
    """The value at a dotted key of a config; None if there is none."""
    for part in key.split('.'):
        if isinstance(cfg, (list, tuple)) and part.isdigit() and int(part) < len(cfg):
            cfg = cfg[int(part)]
        elif isinstance(cfg, (list, tuple)) or not hasattr(cfg, 'get'):
            return None
        else:
            cfg = cfg.get(part)
    return cfg


def _drop_settings_of_other_types(cfg: Config, values: dict) -> list[str]:
    """Let a component of another type start from its defaults.

    A solver keeps no setting of the old type. An optimizer and a regularizer keep
    the settings that the new type has, too.
    """
    from ..registry import REGULARIZERS

    registries = dict(optimizer=OPTIMIZERS, regularizer=REGULARIZERS)
    notes = []
    for key, kind in values.items():
        place, _, last = key.rpartition('.')
        name = place.rpartition('.')[2]
        old = _present(cfg, place) if last == 'type' else None
        if (
            name not in ('solver', *registries)
            or not isinstance(old, dict)
            or type_name(old.get('type')) in ('', type_name(kind))
        ):
            continue
        kept = (
            {} if name == 'solver' else accepted_settings(kind, old, registries[name])
        )
        dropped = [k for k in old if k not in ('type', '_scope_', *kept)]
        parent = _present(cfg, place.rpartition('.')[0])
        scope = {k: old[k] for k in ('_scope_',) if k in old}
        parent[name] = ConfigDict(type=old['type'], **scope, **kept)
        given = [k for k in dropped if f'{place}.{k}' not in values]
        if given:
            notes.append(
                f'{place}: {type_name(kind)} does not keep '
                + ', '.join(f'{k}={old[k]!r}' for k in given)
                + f' of {type_name(old["type"])}.'
            )
    return notes


def accepted_settings(kind: Any, settings: dict, registry: Registry) -> dict:
    """Those of the settings that a type has, too; all if it is not known.

    Args:
        kind (str or type): The type.
        settings (dict): Settings of another type.
        registry (Registry): Where a name is looked up.
    """
    try:
        cls = registry.get(kind) if isinstance(kind, str) else kind
    except RuntimeError:
        cls = None
    if cls is None:
        return {k: v for k, v in settings.items() if k != 'type'}
    parameters = inspect.signature(cls).parameters
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return {k: v for k, v in settings.items() if k != 'type'}
    return {k: v for k, v in settings.items() if k in parameters}
