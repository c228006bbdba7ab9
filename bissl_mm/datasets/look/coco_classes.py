"""Checks how COCO's files number the classes."""

import difflib
from typing import NamedTuple

from .coco_entries import CocoFile
from .findings import Look

#: Number of names that a sentence shows.
_SHOWN = 6


class Numbering(NamedTuple):
    """Names of the classes in the order in which a split or a metric has them.

    Args:
        place (str): Key and file.
        names (list[str]): The names, class 0 first.
    """

    place: str
    names: list[str]


def check_declared(look: Look, key: str, file: CocoFile, classes: list[str]) -> bool:
    """Refuse a declared class without a category in the file.

    mmdet numbers the categories that it finds. So all later classes would get
    the number of the class before them.

    Returns:
        bool: Whether all classes were found.
    """
    names = [c['name'] for c in file.categories]
    absent = [name for name in classes if name not in names]
    if not absent:
        return True
    free = [name for name in names if name not in classes]
    hints = [
        f'{name!r} for {near!r}'
        for name in absent[:_SHOWN]
        if (near := nearest(name, free))
    ]
    hint = f' Did you write {", ".join(hints)}?' if hints else ''
    if len(absent) == len(classes):
        shown = ', '.join(map(repr, names[:40]))
        remedy = (
            f'Set {key}.metainfo.classes=({shown}'
            f'{"," if len(names) == 1 else ""}), the categories of the '
            'file, in all splits.'
        )
    else:
        remedy = (
            'Correct the name in metainfo.classes of all splits, or add the '
            "category to the file, at its place in the other splits' files."
        )
    look.refuse(
        f'{file.name} has no category {_list(absent)}, but '
        f'{key}.metainfo.classes names it. The file has {_list(names)}. mmdet '
        'would give each later class the number of the class before it.'
        f'{hint} {remedy}'
    )
    return False


def check_numberings(look: Look, classes: list[str], found: list[Numbering]) -> None:
    """Refuse splits and metrics that number a class differently.

    If all agree, but ``metainfo.classes`` has another order, this is a warning.
    """
    first = found[0]
    for other in found[1:]:
        if other.names == first.names:
            continue
        # One may have fewer names. They are then the first names of the other.
        pairs = zip(first.names, other.names, strict=False)
        i = next((i for i, (a, b) in enumerate(pairs) if a != b), 0)
        look.refuse(
            f'{first.place} and {other.place} number the classes differently:'
            f' mmdet numbers the categories in the order of each file, so '
            f'number {i} is {first.names[i]!r} in the first file and '
            f'{other.names[i]!r} in the second. Write the list "categories" '
            f'in the same order in both files: {_list(first.names)}.'
        )
        return
    if first.names != classes:
        names = ', '.join(map(repr, first.names[:40]))
        look.warn(
            f'{first.place}: mmdet numbers the classes in the order of the '
            f'file, {_list(first.names)}, but takes their names from '
            f'metainfo.classes, {_list(classes)}. Pictures will show wrong '
            f'names. Set metainfo.classes=({names}) in all splits.'
        )


def nearest(name: str, known: list[str]) -> str:
    """The name that was probably meant, else ''."""

    def plain(text: str) -> str:
        return ''.join(text.lower().split()).replace('_', '').replace('-', '')

    by_plain = {plain(each): each for each in known}
    near = difflib.get_close_matches(plain(name), by_plain, 1, 0.6)
    return by_plain[near[0]] if near else ''


def _list(names: list[str]) -> str:
    return ', '.join(map(repr, names[:_SHOWN])) + (
        f' and {len(names) - _SHOWN} more' if len(names) > _SHOWN else ''
    )
