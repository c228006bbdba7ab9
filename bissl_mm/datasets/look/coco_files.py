"""COCO's annotation files, before a library reads them."""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from mmengine import fileio

from .findings import Look

#: What has to be written where a key is missing.
_NEEDED: dict[str, dict[str, str]] = dict(
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


@dataclass
class CocoFile:
    """A file in COCO's format whose entries have what is read from them.

    Args:
        key (str): Its dotted key in the config.
        path (str): The file.
        images, annotations, categories (list[dict]): Its entries.
    """

    key: str
    path: str
    images: list[dict] = field(default_factory=list)
    annotations: list[dict] = field(default_factory=list)
    categories: list[dict] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The key and the file, as messages begin."""
        return f'{self.key}: {self.path!r}'

    def label_names(self, classes: list[str]) -> list[str]:
        """Names of the declared classes in the order of the numbers that
        mmdet gives them: that of the file."""
        return [c['name'] for c in self.categories if c['name'] in classes]


def read_coco(
    look: Look, key: str, path: str, backend_args: dict | None = None
) -> CocoFile | None:
    """Read a file and refuse what mmdet or pycocotools would stop at or
    misread.

    Args:
        look (Look): Gets what is wrong.
        key (str): Dotted key of the file in the config.
        path (str): The file.
        backend_args (dict, optional): Of the dataset.

    Returns:
        CocoFile, optional: None if it was refused.
    """
    data = _parsed(look, f'{key}: {path!r}', path, backend_args)
    if data is None:
        return None
    before = len(look.refusals)
    file = CocoFile(key, path)
    for title, keys in _NEEDED.items():
        entries = _entries(look, file.name, data, title)
        if entries is None:
            continue
        for each, what in keys.items():
            _check_key(look, file.name, title, entries, each, what)
        _check_numbers(look, file.name, title, entries)
        setattr(file, title, entries)
    if len(look.refusals) > before:
        return None
    _check_unique(look, file)
    _check_references(look, file)
    tell(
        look,
        file.name,
        '{} images repeat the file_name of another one: '
        'each copy has some of the boxes, the others are background there',
        _repeated(file.images, 'file_name'),
        len(file.images),
        'Join the entries.',
        look.warn,
    )
    return file if len(look.refusals) == before else None


def tell(
    look: Look,
    name: str,
    what: str,
    bad: list[dict],
    total: int,
    remedy: str,
    say: Callable[[str], None] | None = None,
) -> None:
    """Refuse some entries: how many, the first one's id, the remedy.

    Args:
        look (Look): Gets the sentence.
        name (str): The key and the file.
        what (str): What is wrong, with ``{}`` for the entries' number.
        bad (list[dict]): The entries; nothing is told of none.
        total (int): Of how many.
        remedy (str): A sentence.
        say (Callable, optional): Defaults to ``look.refuse``.
    """
    if bad:
        number = f'{len(bad)} of {total}'
        first = f' (first: id {bad[0]["id"]!r})' if 'id' in bad[0] else ''
        # Values of the file that are shown may have braces of their own.
        what = what.replace('{}', number, 1)
        (say or look.refuse)(f'{name}: {what}{first}. {remedy}')


def is_number(value: Any) -> bool:
    """Whether it is a finite number."""
    return isinstance(value, (int, float)) and math.isfinite(value)


def _parsed(look: Look, name: str, path: str, backend_args: dict | None) -> dict | None:
    try:
        content = fileio.get(path, backend_args=backend_args)
    except Exception as error:
        look.refuse(f'{name} cannot be read ({type(error).__name__}: {error}).')
        return None
    if content[:3] == b'\xef\xbb\xbf':
        look.refuse(
            f'{name} begins with a byte-order mark, at which mmdet '
            'stops. Save it as UTF-8 without one, for example: '
            rf"sed -i '1s/^\xEF\xBB\xBF//' {path!r}"
        )
        return None
    try:
        # In the encoding that pycocotools reads.
        data = json.loads(content.decode('utf-8'))
    except (ValueError, RecursionError) as error:
        look.refuse(
            f'{name} is not JSON ({error}). Export it anew in the format of COCO.'
        )
        return None
    if isinstance(data, dict):
        return data
    first = data[0] if isinstance(data, list) and data else None
    results = isinstance(first, dict) and 'image_id' in first
    hint = (
        ' This looks like a list of results or of annotations alone.' if results else ''
    )
    look.refuse(
        f'{name} holds a {type(data).__name__} instead of an object '
        f'with images, annotations and categories.{hint} Name the '
        'annotation file.'
    )
    return None


def _entries(look: Look, name: str, data: dict, title: str) -> list[dict] | None:
    entries = data.get(title)
    if entries is None and title == 'annotations' and name.startswith('test_'):
        # Images of a test server have none.
        return []
    if not isinstance(entries, list):
        has = ', '.join(map(repr, list(data)[:6])) or 'nothing'
        look.refuse(
            f'{name} has no list {title!r} (it has {has}). Write '
            f'"{title}": [...] as COCO has it.'
        )
        return None
    if not entries and title != 'annotations':
        look.refuse(f'{name}: the list {title!r} is empty. Add its entries.')
        return None
    wrong = next(
        (i for i, entry in enumerate(entries) if not isinstance(entry, dict)), None
    )
    if wrong is not None:
        look.refuse(
            f'{name}: {title}[{wrong}] is {entries[wrong]!r}, but '
            'must be an object with keys.'
        )
        return None
    return entries


def _check_key(
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


def _check_numbers(look: Look, name: str, title: str, entries: list[dict]) -> None:
    for key in _IDS[title]:
        bad = [
            e
            for e in entries
            if e.get(key) is not None and not isinstance(e[key], (int, float, str))
        ]
        tell(
            look,
            name,
            f'{{}} {title} have a {key!r} that is no number, '
            f'{bad[0][key]!r} for example'
            if bad
            else '',
            bad,
            len(entries),
            'Write a number.',
        )
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
            f'{{}} {title} have a {key!r} that cannot be, {bad[0][key]!r} for example'
            if bad
            else '',
            bad,
            len(entries),
            'Write a number of pixels, without quotes.',
        )
    for key in ('file_name', 'name'):
        bad = [
            e
            for e in entries
            if key in _NEEDED[title]
            and e.get(key) is not None
            and not isinstance(e[key], str)
        ]
        tell(
            look,
            name,
            f'{{}} {title} have a {key!r} that is no text, {bad[0][key]!r} for example'
            if bad
            else '',
            bad,
            len(entries),
            'Write it in quotes.',
        )
    if title == 'annotations':
        bad = [
            e for e in entries if e.get('bbox') is not None and not _is_box(e['bbox'])
        ]
        tell(
            look,
            name,
            '{} annotations have a bbox that is not four '
            f'finite numbers, {bad[0]["bbox"]!r} for example'
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
                f'{bad[0][key]!r} for example, which counts as yes'
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


def _check_unique(look: Look, file: CocoFile) -> None:
    for title, key, lost in (
        (
            'images',
            'id',
            'the earlier ones are lost and their boxes lie on the last one',
        ),
        ('annotations', 'id', 'mmdet stops, pycocotools takes the last'),
        ('categories', 'id', 'classes would be joined'),
        ('categories', 'name', 'one class would get two numbers'),
    ):
        bad = _repeated(getattr(file, title), key)
        tell(
            look,
            file.name,
            f'{{}} {title} repeat the {key} of another one ({bad[0][key]!r}): {lost}'
            if bad
            else '',
            bad,
            len(getattr(file, title)),
            'Number them anew.' if key == 'id' else 'Join the two.',
        )


def _repeated(entries: list[dict], key: str) -> list[dict]:
    seen, bad = set(), []
    for entry in entries:
        if entry[key] in seen:
            bad.append(entry)
        seen.add(entry[key])
    return bad


def _check_references(look: Look, file: CocoFile) -> None:
    """Ids of images and categories that do not exist."""
    for title, key in (('images', 'image_id'), ('categories', 'category_id')):
        known = {entry['id'] for entry in getattr(file, title)}
        bad = [a for a in file.annotations if a[key] not in known]
        if not bad:
            continue
        first, example = bad[0][key], next(iter(known))
        total = len(file.annotations)
        as_text = {plain(each): each for each in known}
        if plain(first) in as_text:
            example = as_text[plain(first)]
            tell(
                look,
                file.name,
                f'{{}} annotations have the {key} {first!r}'
                f', but the id in {title!r} is {example!r}: text and number '
                'are not the same, their boxes would vanish',
                bad,
                total,
                'Write both as numbers, without quotes.',
            )
        elif title == 'categories' or len(bad) == total:
            tell(
                look,
                file.name,
                f'{{}} annotations have a {key} that is not'
                f' in {title!r} ({first!r}): their boxes would vanish',
                bad,
                total,
                f'Correct {key}, or add the entry to {title!r}.',
            )
        # Lists of images are shortened on purpose, too: counted elsewhere.


def plain(value: Any) -> Any:
    """The number that a text writes; else the value."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return value
