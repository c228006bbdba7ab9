"""Turns errors of libraries about a setting into one sentence."""

import difflib
import inspect
import re
from collections.abc import Iterator, Sequence
from typing import Any

from mmengine.runner import Runner
from torch import nn
from torch.utils.data import DataLoader

from ..utils.check import init_keys
from ..utils.errors import Refusal, TypeRefusal, ValueRefusal
from .keys import walk
from .type_names import _last, find_class, places_of, unknown_type
from .types import type_name

_UNKNOWN_TYPE = re.compile(r'([^\s\'"]+) is not in the (?:(\w+)::)?(.+?) registry')
_UNKNOWN_NAME = re.compile(r'Failed to get (\S+)$')
#: mmcv's message, which does not contain the name.
_UNNAMED = re.compile(r'Cannot find None in registry under')
_UNKNOWN_KEY = re.compile(
    r'(?:(\w+)\.)?(\w+)\(\) got an unexpected keyword '
    r"argument '(\w+)'"
)
_MISSING = re.compile(
    r'(?:(\w+)\.)?(\w+)\(\) missing \d+ required (?:positional|keyword-only) '
    r'arguments?: (.+)$'
)
_ONE_VALUE = re.compile(
    r'Expected more than 1 value per channel when '
    r'training, got input size \S*\[([\d, ]+)\]'
)
#: What mmengine says of a split of which parts are missing.
_PARTS = re.compile(r'^([\w, ]+) should be either all None or not None, but got ')
#: What mmengine says of a dict in a config whose base has something else there.
_OTHER_KIND = re.compile(
    r"because (\S+) is a dict in the child config but is of type <class '(\w+)'>"
)
_NO_DEPTH = re.compile(r'invalid depth (\d+) for (\w+)')
#: What mmengine builds from a dict without a type.
_WITHOUT_TYPE = {
    'DataLoader.__init__': DataLoader,
    'Runner.set_randomness': Runner.set_randomness,
}
_NO_TYPE = re.compile(r'must contain the key "type", but got (.*?)\n')
#: The hooks that mmengine adds by default.
_HOOKS = (
    'runtime_info',
    'timer',
    'sampler_seed',
    'logger',
    'param_scheduler',
    'checkpoint',
)
#: The message of the optimizer's constructor for an unknown type.
_NO_OPTIMIZER = 'None is not a callable object'
#: The message of Python's partial, with which mmengine joins a collate_fn.
_NO_COLLATE = 'the first argument must be callable'
_LAYERS = ('norm_cfg', 'conv_cfg', 'act_cfg', 'upsample_cfg', 'padding_cfg')


def explained(error: BaseException) -> Refusal | None:
    """An error of a library as a refusal, if it is about a setting.

    Args:
        error (BaseException): What was caught.

    Returns:
        Refusal, optional: None for anything else, which may be a bug.
    """
    caught: BaseException | None = error
    while caught is not None:
        text = str(caught.args[0]) if caught.args else ''
        found = _explain(caught, text)
        if found is not None:
            return found
        caught = caught.__cause__
    return None


def _explain(error: BaseException, text: str) -> Refusal | None:
    if isinstance(error, KeyError) and text == 'model':
        return _no_model()
    if isinstance(error, (KeyError, RuntimeError)):
        match = _UNKNOWN_TYPE.search(text)
        if match:
            name, scope, registry = match.groups()
            return unknown_type(name, registry, scope or 'mmengine')
        match = _UNKNOWN_NAME.search(text)
        if match and places_of('type', match.group(1)):
            return unknown_type(match.group(1))
        match = _NO_TYPE.search(text)
        if match:
            return _without_type(match.group(1))
        if _UNNAMED.search(text):
            return _unknown_in(_LAYERS, 'model')
        match = _NO_DEPTH.search(text)
        if match:
            return _no_depth(*match.groups())
    if isinstance(error, TypeError):
        match = _OTHER_KIND.search(text)
        if match:
            return _other_kind(*match.groups())
        if text == _NO_OPTIMIZER:
            return _unknown_in(('optimizer',), 'optimizer')
        if text == _NO_COLLATE:
            return _unknown_in(('collate_fn',), 'function')
        match = _UNKNOWN_KEY.search(text)
        if match:
            return _unknown_key(*match.groups(), text=text)
        match = _MISSING.search(text)
        return _missing_key(*match.groups()) if match else None
    match = _PARTS.search(text) if isinstance(error, ValueError) else None
    if match:
        return _parts_missing(re.findall(r'\w+_\w+', match.group(1)))
    match = _ONE_VALUE.search(text)
    return _one_value(error, match.group(1)) if match else None


def _other_kind(key: str, kind: str) -> Refusal:
    kind = 'None' if kind == 'NoneType' else f'a {kind}'
    return TypeRefusal(
        f'{key}: the config has a dict where its base has {kind}, and mmengine merges '
        f'dicts with dicts only. Write {key}=dict(_delete_=True, ...).'
    )


def _parts_missing(keys: list[str]) -> Refusal:
    given = [key for key in keys for cfg in _last if cfg.get(key) is not None]
    return ValueRefusal(
        f'{", ".join(keys)} belong together, but the config has '
        f'{" and ".join(given) or "none"} alone. Add the others, or leave all out: '
        f'--cfg-options {" ".join(f"{key}=None" for key in keys)}.'
    )


def _no_model() -> Refusal | None:
    if all('model' in cfg for cfg in _last):
        return None
    return ValueRefusal(
        'The config has no model, so nothing can be trained or tested. Type a config '
        'that has one, for example one of configs/bissl.'
    )


def _no_depth(depth: str, network: str) -> Refusal | None:
    for place, node in _nodes():
        if place.endswith('.depth') and str(node) == depth:
            return ValueRefusal(
                f'{place} is {depth}, but there is no {network} of this depth. Set one '
                'that its class lists, for example 18, 34 or 50 of a ResNet.'
            )
    return None


def _nodes() -> Iterator[tuple]:
    for cfg in _last:
        for key in cfg:
            yield from walk(key, cfg[key])


def _unknown_in(keys: Sequence[str], registry: str) -> Refusal | None:
    """The first type under one of these keys that is not registered."""
    for place, node in _nodes():
        kind = node.get('type') if isinstance(node, dict) else None
        if (
            place.rpartition('.')[2] in keys
            and isinstance(kind, str)
            and find_class(kind.rpartition('.')[2]) is None
        ):
            return unknown_type(kind, registry, 'mmengine')
    return None


def _without_type(shown: str) -> Refusal | None:
    for place, node in _nodes():
        if isinstance(node, dict) and 'type' not in node and str(node) == shown:
            parent, _, name = place.rpartition('.')
            others = [
                other[len(parent) + 1 :]
                for other, _ in _nodes()
                if other.rpartition('.')[0] == parent != '' and other != place
            ]
            others += _HOOKS if parent == 'default_hooks' else ()
            near = difflib.get_close_matches(name, others, 1, 0.6)
            hint = f' Did you mean {parent}.{near[0]}?' if near else ''
            hint = hint or " Add type='...'."
            return TypeRefusal(f'{place}: type is missing in {shown}.{hint}')
    return None


def _unknown_key(
    name: str | None, function: str, key: str, text: str
) -> Refusal | None:
    """A key that its component does not take, if the config gives it one."""
    for place, node in _nodes():
        if not isinstance(node, dict) or key not in node:
            continue
        kind = node.get('type')
        if kind is None:
            cls = _WITHOUT_TYPE.get(f'{name}.{function}') or find_class(name or '')
        else:
            cls = find_class(type_name(kind)) if isinstance(kind, str) else kind
            if (
                isinstance(cls, type)
                and cls.__name__ not in text
                and name not in (None, *(c.__name__ for c in cls.__mro__))
            ):
                continue
        if not callable(cls):
            continue
        known = (
            init_keys(cls)
            if isinstance(cls, type)
            else set(inspect.signature(cls).parameters) - {'self'}
        )
        if key in known and (kind is None or name == cls.__name__):
            continue
        near = difflib.get_close_matches(key, sorted({*known, 'type'} - {key}), 1, 0.0)
        hint = f' Did you mean {near[0]!r}?' if near else ''
        return TypeRefusal(
            f'{place}.{key}: {type_name(cls)} has no argument {key!r}.{hint}'
        )
    return None


def _missing_key(name: str | None, function: str, keys: str) -> Refusal | None:
    """A key that a component needs, if the config has such a component."""
    missing = re.findall(r"'(\w+)'", keys)
    for place, node in _nodes():
        kind = node.get('type') if isinstance(node, dict) else None
        cls = find_class(type_name(kind)) if isinstance(kind, str) else kind
        if not isinstance(cls, type):
            continue
        if (name or function) in (c.__name__ for c in cls.__mro__) and not any(
            key in node for key in missing
        ):
            return TypeRefusal(
                f'{place}: {type_name(cls)} lacks {", ".join(missing)}. Add '
                f'{", ".join(f"{key}=VALUE" for key in missing)} there.'
            )
    return None


def _one_value(error: BaseException, shape: str) -> Refusal:
    modules = []
    trace = error.__traceback__
    while trace is not None:
        owner: Any = trace.tb_frame.f_locals.get('self')
        if isinstance(owner, nn.Module):
            modules.append(owner)
        trace = trace.tb_next
    names = (
        {module: name for name, module in modules[0].named_modules()} if modules else {}
    )
    layer = f"'{names.get(modules[-1], '')}'" if modules else 'a batch norm'
    return ValueRefusal(
        f'{layer} normalises one value per channel (input {shape}), and one '
        'value has no variance: the batch holds one image. Raise batch_size, '
        'lower optim_wrapper.num_micro_batches in the bilevel stage, or set '
        'drop_last=True if this is the last batch of an epoch.'
    )
