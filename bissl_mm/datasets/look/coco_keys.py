"""Checks the keys that entries of COCO's files need, and their values."""

from typing import Any

from .coco_entries import is_number, tell
from .findings import Look

#: What to write if a key is missing.
NEEDED: dict[str, dict[str, str]] = dict(
    categories=dict(id='a number of its own', name='the name of the class'),
    images=dict(
        id='a number of its own',
        file_name='the file within data_prefix.img',
        width='the width in pixels',
        height='the height in pixels',
    ),
    annotations=dict(
        id='a number of its own, from 1',
        image_id='the id of its image',
        category_id='the id of its category',
        bbox='[x, y, width, height] in pixels',
        area="width * height of the box, or the mask's pixels",
    ),
)
_IDS = dict(
    images=('id',), categories=('id',), annotations=('id', 'image_id', 'category_id')
)
_SIZES = dict(images=('width', 'height'), annotations=('area',))


def check_key(
    look: Look, name: str, title: str, entries: list[dict], key: str, what: str
) -> None:
    bad = [entry for entry in entries if entry.get(key) is None]
    has = '' if not bad else f' An entry has {", ".join(map(repr, list(bad[0])[:8]))}.'
    tell(
        look,
        name,
        f'{{}} {title} have no {key!r}',
        bad,
        len(entries),
        f'Write "{key}": {what}.{has}',
    )


def check_values(look: Look, name: str, title: str, entries: list[dict]) -> None:
    """Refuse ids, sizes, texts and boxes of a wrong type."""
    _check_ids(look, name, title, entries)
    _check_sizes(look, name, title, entries)
    _check_texts(look, name, title, entries)
    if title == 'annotations':
        _check_boxes(look, name, entries)


def _check_ids(look: Look, name: str, title: str, entries: list[dict]) -> None:
    for key in _IDS[title]:
        bad = [
            e
            for e in entries
            if e.get(key) is not None and not isinstance(e[key], (int, float, str))
        ]
        tell(
            look,
            name,
            f'{{}} {title} have a {key!r} that is not a number, '
            f'for example {bad[0][key]!r}'
            if bad
            else '',
            bad,
            len(entries),
            'Write a number.',
        )


def _check_sizes(look: Look, name: str, title: str, entries: list[dict]) -> None:
    for key in _SIZES.get(title, ()):
        bad = [
            e
            for e in entries
            if e.get(key) is not None
            and not (is_number(e[key]) and (title != 'images' or e[key] > 0))
        ]
        tell(
            look,
            name,
            f'{{}} {title} have an impossible {key!r}, for example {bad[0][key]!r}'
            if bad
            else '',
            bad,
            len(entries),
            'Write a number of pixels, without quotes.',
        )


def _check_texts(look: Look, name: str, title: str, entries: list[dict]) -> None:
    for key in ('file_name', 'name'):
        bad = [
            e
            for e in entries
            if key in NEEDED[title]
            and e.get(key) is not None
            and not isinstance(e[key], str)
        ]
        tell(
            look,
            name,
            f'{{}} {title} have a {key!r} that is not text, for example {bad[0][key]!r}'
            if bad
            else '',
            bad,
            len(entries),
            'Write it in quotes.',
        )


def _check_boxes(look: Look, name: str, entries: list[dict]) -> None:
    bad = [e for e in entries if e.get('bbox') is not None and not _is_box(e['bbox'])]
    tell(
        look,
        name,
        '{} annotations have a bbox that is not four '
        f'finite numbers, for example {bad[0]["bbox"]!r}'
        if bad
        else '',
        bad,
        len(entries),
        'Write [x, y, width, height] in pixels, '
        'without quotes, or remove the annotation.',
    )
    for key in ('iscrowd', 'ignore'):
        bad = [e for e in entries if isinstance(e.get(key), str)]
        tell(
            look,
            name,
            f'{{}} annotations have {key!r} as text, '
            f'for example {bad[0][key]!r}, which counts as 1'
            if bad
            else '',
            bad,
            len(entries),
            'Write 0 or 1, without quotes.',
        )


def _is_box(box: Any) -> bool:
    return (
        isinstance(box, list)
        and len(box) == 4
        and all(is_number(value) for value in box)
    )
