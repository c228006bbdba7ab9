"""How COCO's files number the classes."""

import difflib
from typing import NamedTuple

from .coco_entries import CocoFile
from .findings import Look

#: Names shown in a sentence.
_SHOWN = 6


class Numbering(NamedTuple):
    """Names of the classes in the order of the numbers that a part or a
    metric gives them.

    Args:
        place (str): Key and file.
        names (list[str]): Class 0 first.
    """

    place: str
    names: list[str]


def check_declared(look: Look, key: str, file: CocoFile, classes: list[str]) -> bool:
    """Refuse a declared class that the file has no category for.

    mmdet numbers the categories that it finds, so that all later classes
    would get the number of the one before.

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
    hint = f' Perhaps {", ".join(hints)}?' if hints else ''
    if len(absent) == len(classes):
        shown = ', '.join(map(repr, names[:40]))
        remedy = (
            f'Set {key}.metainfo.classes=({shown}'
            f'{"," if len(names) == 1 else ""}) to the categories of the '
            'file, alike in all parts.'
        )
    else:
        remedy = (
            'Correct the name in metainfo.classes of all parts, or add '
            'the category to the file, where the other parts have it.'
        )
    look.refuse(
        f'{file.name} has no category {_list(absent)}, which '
        f'{key}.metainfo.classes names (it has {_list(names)}): mmdet would '
        f'give later classes the number of the one before.{hint} {remedy}'
    )
    return False


def check_numberings(look: Look, classes: list[str], found: list[Numbering]) -> None:
    """Refuse parts and metrics that number one class differently; warn where
    all agree, but ``metainfo.classes`` has another order."""
    first = found[0]
    for other in found[1:]:
        if other.names == first.names:
            continue
        # One may have fewer names; the shorter one then begins the longer.
        pairs = zip(first.names, other.names, strict=False)
        i = next((i for i, (a, b) in enumerate(pairs) if a != b), 0)
        look.refuse(
            f'{first.place} and {other.place} number the classes differently:'
            f' mmdet takes the order of the categories in each file, so '
            f'number {i} is {first.names[i]!r} in the one and '
            f'{other.names[i]!r} in the other. Write the list "categories" '
            f'in one order, {_list(first.names)}, in both files.'
        )
        return
    if first.names != classes:
        names = ', '.join(map(repr, first.names[:40]))
        look.warn(
            f'{first.place}: mmdet numbers the classes in the order of the '
            f'file, {_list(first.names)}, but shows the names of '
            f'metainfo.classes, {_list(classes)}: pictures will show wrong '
            f'names. Set metainfo.classes=({names}) in all parts.'
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
