"""Reads COCO's annotation files and checks them before a library does."""

import json

from mmengine import fileio

from .coco_entries import CocoFile, plain, tell
from .coco_keys import NEEDED, check_key, check_values
from .findings import Look


def read_coco(
    look: Look, key: str, path: str, backend_args: dict | None = None
) -> CocoFile | None:
    """Read a file; refuse what mmdet or pycocotools would fail on or misread.

    Args:
        look (Look): Collects the findings.
        key (str): Dotted key of the file in the config.
        path (str): The file.
        backend_args (dict, optional): ``backend_args`` of the dataset.

    Returns:
        CocoFile, optional: None if it was refused.
    """
    data = _parsed(look, f'{key}: {path!r}', path, backend_args)
    if data is None:
        return None
    before = len(look.refusals)
    file = CocoFile(key, path)
    for title, keys in NEEDED.items():
        entries = _entries(look, file.name, data, title)
        if entries is None:
            continue
        for each, what in keys.items():
            check_key(look, file.name, title, entries, each, what)
        check_values(look, file.name, title, entries)
        setattr(file, title, entries)
    if len(look.refusals) > before:
        return None
    _check_unique(look, file)
    _check_references(look, file)
    tell(
        look,
        file.name,
        '{} images repeat the file_name of another one, so '
        'each copy has some of the boxes and learns the rest as background',
        _repeated(file.images, 'file_name'),
        len(file.images),
        'Join the entries into one.',
        look.warn,
    )
    return file if len(look.refusals) == before else None


def _parsed(look: Look, name: str, path: str, backend_args: dict | None) -> dict | None:
    try:
        content = fileio.get(path, backend_args=backend_args)
    except Exception as error:
        look.refuse(
            f'{name} cannot be read ({type(error).__name__}: {error}). Correct the '
            'path or the permissions.'
        )
        return None
    if content[:3] == b'\xef\xbb\xbf':
        look.refuse(
            f'{name} begins with a byte-order mark, on which mmdet '
            'fails. Save it as UTF-8 without that mark, for example: '
            rf"sed -i '1s/^\xEF\xBB\xBF//' {path!r}"
        )
        return None
    try:
        # pycocotools reads the file in this encoding.
        data = json.loads(content.decode('utf-8'))
    except (ValueError, RecursionError) as error:
        look.refuse(f"{name} is not JSON ({error}). Export it again in COCO's format.")
        return None
    if isinstance(data, dict):
        return data
    first = data[0] if isinstance(data, list) and data else None
    results = isinstance(first, dict) and 'image_id' in first
    hint = (
        ' This looks like a list of results or of annotations alone.' if results else ''
    )
    look.refuse(
        f'{name} contains a {type(data).__name__} instead of an object '
        f'with images, annotations and categories.{hint} Set ann_file to '
        'the annotation file.'
    )
    return None


def _entries(look: Look, name: str, data: dict, title: str) -> list[dict] | None:
    entries = data.get(title)
    if entries is None and title == 'annotations' and name.startswith('test_'):
        # Files for a test server have no annotations.
        return []
    if not isinstance(entries, list):
        has = ', '.join(map(repr, list(data)[:6])) or 'nothing'
        look.refuse(
            f'{name} has no list {title!r} (it has {has}). Write '
            f'"{title}": [...] as in COCO\'s format.'
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
            'must be an object with keys. Write for example {"id": 1, ...}.'
        )
        return None
    return entries


def _check_unique(look: Look, file: CocoFile) -> None:
    for title, key, lost in (
        (
            'images',
            'id',
            'the earlier images are lost, and their boxes go to the last one',
        ),
        ('annotations', 'id', 'mmdet fails, and pycocotools takes the last one'),
        ('categories', 'id', 'their classes would become one'),
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
            'Give each its own id.' if key == 'id' else 'Join them into one.',
        )


def _repeated(entries: list[dict], key: str) -> list[dict]:
    seen, bad = set(), []
    for entry in entries:
        if entry[key] in seen:
            bad.append(entry)
        seen.add(entry[key])
    return bad


def _check_references(look: Look, file: CocoFile) -> None:
    """Refuse ids of images and categories that do not exist."""
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
                f', but the id in {title!r} is {example!r}. Text and number '
                'do not match, so their boxes would be lost',
                bad,
                total,
                'Write both as numbers, without quotes.',
            )
        elif title == 'categories' or len(bad) == total:
            tell(
                look,
                file.name,
                f'{{}} annotations have a {key} that is not'
                f' in {title!r} ({first!r}), so their boxes would be lost',
                bad,
                total,
                f'Correct {key}, or add the entry to {title!r}.',
            )
        # Lists of images may be shortened on purpose, so this is only counted.
