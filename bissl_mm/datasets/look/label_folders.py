"""Compares labels with the folders of the images."""

import os.path as osp
from collections.abc import Iterator
from typing import Any, NamedTuple

from .findings import Look
from .parts import MAX_HEADERS, PartLook
from .unread import is_local, names_classes_by_folder


class Numbered(NamedTuple):
    """Folders that correspond to labels one to one.

    Args:
        key (str): Dotted key of the dataset in the config.
        labels (dict[str, int]): Name of the folder -> label of its images.
        classes (list[str]): Names of the classes in the order of their
            numbers; may be empty.
        listed (bool): Whether the labels come from a list.
    """

    key: str
    labels: dict[str, int]
    classes: list[str]
    listed: bool


def check_label_folders(look: Look) -> None:
    """Refuse splits in which a folder of one name has different labels.

    A list may number the classes in any order. A dataset without a list numbers
    its folders by name. So two splits may agree in every name and in no number.
    Folders with several labels are not compared.
    """
    known: list[Numbered] = []
    for part in look:
        for found in _numbered(part) if part.name != 'pretext' else ():
            for other in known:
                if found.classes and other.classes and found.classes != other.classes:
                    # check_classes has reported it.
                    continue
                differ = [
                    name
                    for name in found.labels
                    if found.labels[name] != other.labels.get(name, found.labels[name])
                ]
                if differ:
                    _tell(look, other, found, differ)
                    break
            known.append(found)
            _check_declared(look, found)


def _numbered(part: PartLook) -> Iterator[Numbered]:
    keys = [key for key, _ in part.leaf_cfgs()]
    # A wrapper of the user's may show its datasets in one of the two alone.
    for key, leaf in zip(keys, part.leaves(), strict=False):
        by_folder: dict[str, set[int]] = {}
        for info in _infos(part, leaf):
            label, path = info.get('gt_label'), info.get('img_path')
            if isinstance(label, int) and is_local(path):
                by_folder.setdefault(_folder(leaf, path), set()).add(label)
        labels = {
            name: next(iter(found))
            for name, found in by_folder.items()
            if len(found) == 1
        }
        if len(labels) == len(by_folder) == len(set(labels.values())) > 1:
            yield Numbered(
                key,
                labels,
                list(getattr(leaf, 'CLASSES', None) or ()),
                not names_classes_by_folder(leaf),
            )


def _infos(part: PartLook, leaf: Any) -> list[dict]:
    if leaf is part.whole:
        return part.infos
    if not hasattr(leaf, 'get_data_info'):
        return []
    return [leaf.get_data_info(i) for i in range(min(len(leaf), MAX_HEADERS))]


def _folder(leaf: Any, path: str) -> str:
    if names_classes_by_folder(leaf):
        return osp.relpath(path, leaf.img_prefix).split(osp.sep)[0]
    return osp.basename(osp.dirname(path))


def _check_declared(look: Look, found: Numbered) -> None:
    # check_class_folders compares the names of class folders already.
    wrong = [
        name
        for name, label in found.labels.items()
        if found.listed and name in found.classes and found.classes.index(name) != label
    ]
    if not wrong:
        return
    name = wrong[0]
    look.warn(
        f'{found.key}: images in the folder {name!r} have label '
        f'{found.labels[name]}, but {name!r} is number '
        f'{found.classes.index(name)} of its classes. {len(wrong)} folder(s) '
        'with the name of a class differ in this way. Results would be '
        'reported under wrong names. Write classes in the order of the labels.'
    )


def _tell(look: Look, first: Numbered, other: Numbered, differ: list[str]) -> None:
    name = differ[0]
    look.refuse(
        f'{other.key}: images in the folder {name!r} have label '
        f'{other.labels[name]}, but label {first.labels[name]} in {first.key}. '
        f'{len(differ)} folder(s) of the same name differ in this way. Use the '
        'same numbers in both; without an ann_file, class folders are numbered '
        'in the order of their names.'
    )
