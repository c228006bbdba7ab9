"""One list of categories, and no image twice, for all parts in COCO's format."""

from collections import Counter
from collections.abc import Hashable
from dataclasses import replace
from pathlib import Path

from coco_layout import CocoPart
from layout_words import listed

from bissl_mm.utils.errors import ValueRefusal


def check_ids(root: Path, part: CocoPart) -> None:
    """Refuse boxes whose ids cannot be compared with those of images and categories.

    Args:
        root (Path): Folder of the set.
        part (CocoPart): Not changed.

    Raises:
        ValueError: If an id is a list, or text where the other one is a number.
    """
    for title, key in (('images', 'image_id'), ('categories', 'category_id')):
        ids = [each.get('id') for each in part.data[title]]
        values = [each.get(key) for each in part.data['annotations']]
        for name, found in (('id', ids), (key, values)):
            odd = next((i for i in found if not isinstance(i, Hashable)), None)
            if odd is not None:
                raise ValueRefusal(
                    f'{root / part.file}: an entry has the {name} {odd!r}. Write a '
                    'number.'
                )
        as_text = {str(each): each for each in ids}
        known = set(ids)
        for value in values:
            if value not in known and str(value) in as_text:
                raise ValueRefusal(
                    f'{root / part.file}: an annotation has the {key} {value!r}, but the '
                    f'id in {title!r} is {as_text[str(value)]!r}. Text and number do not '
                    'match, so boxes would be lost. Write both as numbers, without '
                    'quotes.'
                )


def number_alike(parts: dict[str, CocoPart]) -> tuple[dict[str, CocoPart], list[str]]:
    """Number all boxes as the training part does.

    A category is the one of the same id and name, else the one of the same name.
    Boxes of a category that the training part does not list are left out.

    Args:
        parts (dict[str, CocoPart]): By part; ``train`` is among them.

    Returns:
        tuple: Parts with the training part's categories, and notes about boxes
        that are numbered anew or left out.

    Raises:
        ValueError: If an id means different names.
    """
    train, notes = parts['train'], []
    found = {}
    for name, part in parts.items():
        new, lost = _matched(part, train)
        boxes = [
            dict(each, category_id=new[each.get('category_id')])
            if each.get('category_id') in new
            else each
            for each in part.data['annotations']
            if each.get('category_id') not in lost
        ]
        found[name] = replace(
            part,
            data=dict(
                part.data, annotations=boxes, categories=train.data['categories']
            ),
        )
        notes += _notes(part, train, new, lost)
    return found, notes


def _matched(
    part: CocoPart, train: CocoPart
) -> tuple[dict[Hashable, Hashable], dict[Hashable, str]]:
    """The training part's ids by other ones, and names that it lacks by id."""
    names = {each.get('id'): each.get('name') for each in train.data['categories']}
    used, used_there = part.used(), train.used()
    new: dict[Hashable, Hashable] = {}
    lost: dict[Hashable, str] = {}
    for each in part.data['categories']:
        own, name = each.get('id'), each.get('name')
        if own not in used or (own in names and names[own] == name):
            continue
        same = [i for i, there in names.items() if there == name]
        # A super-category may have the name of a class.
        same = [i for i in same if i in used_there] or same
        if len(same) == 1:
            new[own] = same[0]
        elif own in names or same:
            there = (
                f'it is {names[own]!r}' if own in names else f'that name has ids {same}'
            )
            raise ValueRefusal(
                f'{part.file}: the category {own!r} is {name!r}, but in '
                f'{train.file} {there}. Number them alike.'
            )
        else:
            lost[own] = str(name)
    return new, lost


def _notes(
    part: CocoPart,
    train: CocoPart,
    new: dict[Hashable, Hashable],
    lost: dict[Hashable, str],
) -> list[str]:
    notes = []
    if new:
        pairs = ', '.join(f'{own!r} is {there!r}' for own, there in new.items())
        notes.append(
            f'{part.file} numbers categories otherwise than {train.file} ({pairs} '
            'there). They are matched by name.'
        )
    if lost:
        number = Counter(each.get('category_id') for each in part.data['annotations'])
        boxes = sum(number[own] for own in lost)
        notes.append(
            f'{part.file} has {boxes} boxes of categories that {train.file} does not '
            f'list: {listed([*lost.values()])}. These boxes are left out.'
        )
    return notes


def without_repeats(
    parts: dict[str, CocoPart],
) -> tuple[dict[str, CocoPart], list[str]]:
    """Take images of other parts out of the training part.

    A file of all images may lie beside those of the parts.
    """
    train = parts['train']
    others = {
        path for name, part in parts.items() if name != 'train' for path in _paths(part)
    }
    kept = [
        image
        for image, path in zip(train.data['images'], _paths(train), strict=True)
        if path not in others
    ]
    both = train.number - len(kept)
    if not both:
        return parts, []
    names = listed([part.file for name, part in parts.items() if name != 'train'])
    if not kept:
        raise ValueRefusal(
            f'{train.file}: all {both} images are in {names}, too, so there are '
            'none for training. Write a file without them.'
        )
    ids = {image.get('id') for image in kept}
    boxes = [a for a in train.data['annotations'] if a.get('image_id') in ids]
    own = replace(train, data=dict(train.data, images=kept, annotations=boxes))
    return dict(parts, train=own), [
        f'{train.file}: {both} of {train.number} images are in {names}, too, and '
        'are not trained on.'
    ]


def _paths(part: CocoPart) -> list[str]:
    return [
        str(part.images / str(image.get('file_name'))) for image in part.data['images']
    ]
