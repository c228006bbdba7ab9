"""Checks the names of classes in the config."""

import os.path as osp
from collections import Counter
from collections.abc import Iterator
from typing import Any

from .findings import Look


def check_class_names(look: Look) -> None:
    """Refuse wrong ``classes``, for every task.

    Refused are a string instead of a tuple, names that are not text, and names
    that occur twice.
    """
    for part in look:
        for key, classes in _declared(part.cfg, part.key):
            if isinstance(classes, str):
                _check_string(look, key, classes)
            elif isinstance(classes, (list, tuple)):
                _check_names(look, key, classes)
            elif classes is not None:
                look.refuse(
                    f'{key} is of type {type(classes).__name__}, which has no '
                    'order, but classes are numbered in order. Write a tuple '
                    "of names, for example ('cat', 'dog')."
                )


def _declared(cfg: Any, key: str) -> Iterator[tuple[str, Any]]:
    """Dotted keys and values of ``classes``, also in wrapped datasets."""
    if not isinstance(cfg, dict):
        return
    meta = cfg.get('metainfo')
    if isinstance(meta, dict) and 'classes' in meta:
        yield f'{key}.metainfo.classes', meta['classes']
    if 'classes' in cfg:
        yield f'{key}.classes', cfg['classes']
    yield from _declared(cfg.get('dataset'), f'{key}.dataset')
    for i, inner in enumerate(cfg.get('datasets') or ()):
        yield from _declared(inner, f'{key}.datasets.{i}')


def _check_string(look: Look, key: str, classes: str) -> None:
    """Refuse a string, unless it is a file of names, which mmengine reads."""
    if osp.isfile(osp.expanduser(classes)):
        return
    names = [name.strip() for name in classes.split(',') if name.strip()]
    written = f'({", ".join(map(repr, names))}{"," if len(names) == 1 else ""})'
    file = (
        ' or the path of a file that exists'
        if osp.splitext(classes)[1] or '/' in classes
        else ''
    )
    look.refuse(
        f'{key} is the string {classes!r}, so each of its letters would be a '
        f'class. Write {written}{file}.'
    )


def _check_names(look: Look, key: str, classes: Any) -> None:
    wrong = [name for name in classes if not isinstance(name, str)]
    if wrong:
        names = tuple(str(name) for name in classes[:8])
        more = ', ...' * (len(classes) > 8)
        look.refuse(
            f'{key} has {wrong[0]!r}, which is not text. Write '
            f'{repr(names)[:-1]}{more}).'
        )
        return
    twice = [name for name, n in Counter(classes).items() if n > 1]
    if twice:
        look.refuse(
            f'{key} has {twice[0]!r} {classes.count(twice[0])} times. Write '
            'each class once.'
        )
    blank = [name for name in classes if name != name.strip() or not name]
    if blank:
        look.warn(
            f'{key} has {blank[0]!r} with blanks around it, so it does not '
            f'match {blank[0].strip()!r}. Remove the blanks.'
        )
