"""Finds the name of a type that a misspelt one stands for."""

import difflib
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import mmengine.registry
from mmengine.registry import Registry

from ..utils.errors import KeyRefusal
from .keys import walk

#: Scopes that may not have been imported yet.
_LIBRARIES = ('mmpretrain', 'mmdet', 'mmseg')
#: The config that was read last; messages say where in it a name is.
_last: list[Any] = []


def remember(cfg: Any) -> None:
    """Let messages name the keys of this config."""
    _last[:] = [cfg]


def places_of(key: str, value: Any) -> list[str]:
    """Dotted keys in the last config that end in ``key`` and have ``value``."""
    return [
        place
        for cfg in _last
        for first in cfg
        for place, node in walk(first, cfg[first])
        if place.rpartition('.')[2] == key and isinstance(node, str) and node == value
    ]


def unknown_type(name: str, registry: str = '', scope: str = '') -> KeyRefusal:
    """The error for a type that is not registered, with the nearest name.

    Args:
        name (str): As in the config, perhaps with a scope before it.
        registry (str): Name of the registry that was asked, ``'hook'`` for
            example. Defaults to all.
        scope (str): Of the registry that was asked.
    """
    prefix, _, bare = name.rpartition('.')
    scope = prefix or scope
    known = _registered(registry)
    place = next(iter(places_of('type', name)), None)
    where = f'{place}: ' if place else ''
    kind = registry.replace('_', ' ') or 'type'
    near = _nearest(bare, known, scope)
    if near is None:
        hint = ''
    elif near[1] == bare:
        hint = f" It is registered in {near[0]}: write type='{near[0]}.{bare}'."
    else:
        other = near[0] not in (scope, 'mmengine')
        hint = f" Did you mean '{near[0] + '.' if other else ''}{near[1]}'?"
        if prefix and not other:
            hint = f" Did you mean '{prefix}.{near[1]}'?"
    return KeyRefusal(
        f'{where}no {kind} is registered as {name!r}.{hint} Import a class of '
        'your own with custom_imports.'
    )


def check_scopes(cfg: Any) -> None:
    """Refuse a scope that no library has; mmengine would use another one.

    Args:
        cfg (Config): A config; not changed.

    Raises:
        KeyError: With the key and the nearest scope.
    """
    known = {scope for scope, _ in _all()}
    for place, node in [
        ('default_scope', cfg.get('default_scope')),
        *(
            item
            for key in cfg
            for item in walk(key, cfg[key])
            if item[0].endswith('._scope_')
        ),
    ]:
        if not isinstance(node, str) or node in known:
            continue
        # It may be a library that is not imported yet, or the user's own.
        if node.isidentifier() and find_spec(node) is not None:
            continue
        names = sorted({*known, *_LIBRARIES})
        near = difflib.get_close_matches(node, names, 1, 0.0)[0]
        raise KeyRefusal(
            f'{place}: no library {node!r} is installed. Did you mean {near!r}?'
        )


def find_class(name: str) -> Any | None:
    """The class that is registered under a name, or that has this name."""
    for names in _all().values():
        for registered, cls in names.items():
            if registered == name or getattr(cls, '__name__', '') == name:
                return cls
    return None


def _nearest(
    bare: str, known: dict[tuple[str, str], Any], scope: str
) -> tuple[str, str] | None:
    """Scope and name of the nearest; the asked scope wins a tie."""

    def score(key: tuple[str, str]) -> tuple:
        own, name = key
        ratio = difflib.SequenceMatcher(None, bare.lower(), name.lower()).ratio()
        return round(ratio, 3), own in (scope, 'mmengine'), own == 'bissl_mm'

    best = max(known, key=score, default=None)
    return best if best and score(best)[0] >= 0.6 else None


def _registered(registry: str) -> dict[tuple[str, str], Any]:
    # A library's registry may have another name than its parent in mmengine.
    roots = {
        root.name
        for root in _roots()
        if registry in ('', *(r.name for r in _with_children(root)))
    }
    return {
        (scope, name): cls
        for (scope, kind), names in _all().items()
        for name, cls in names.items()
        if kind in roots
    }


def _all() -> dict[tuple[str, str], dict[str, Any]]:
    """All registered classes, by scope and name of the parent registry."""
    return {
        (registry.scope, root.name): registry.module_dict
        for root in _roots()
        for registry in _with_children(root)
    }


def _roots() -> list[Registry]:
    from ..registry import REGULARIZERS, SOLVERS

    return [
        SOLVERS,
        REGULARIZERS,
        *(r for r in vars(mmengine.registry).values() if isinstance(r, Registry)),
    ]


def _with_children(registry: Registry) -> Iterator[Registry]:
    yield registry
    for child in registry.children.values():
        yield from _with_children(child)
