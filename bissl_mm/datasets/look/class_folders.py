"""Checks that class folders get the same numbers in every split."""

import os
import os.path as osp
import unicodedata
from typing import Any, NamedTuple

from .findings import Look
from .parts import head_classes
from .unread import is_local, names_classes_by_folder, unread

#: Folders that programs create; hidden folders count, too.
_NO_CLASSES = {
    '__MACOSX',
    '@eaDir',
    '__pycache__',
    'lost+found',
    'System Volume Information',
    '$RECYCLE.BIN',
}
#: Files that programs leave in any folder, in lower case; hidden files count, too.
_NO_FILES = {'thumbs.db', 'desktop.ini'}


class Folders(NamedTuple):
    """The class folders of a dataset, in the order of their numbers.

    Args:
        key (str): Dotted key of the dataset in the config.
        root (str): Folder that contains them.
        names (list[str]): Their names.
        declared (list[str]): ``classes`` in the config; may be empty.
        suffixes (tuple[str]): Suffixes of the images that are read, in lower case.
    """

    key: str
    root: str
    names: list[str]
    declared: list[str]
    suffixes: tuple[str, ...]


def check_class_folders(look: Look) -> None:
    """Refuse class folders of one split that another split lacks.

    mmpretrain's ``CustomDataset`` numbers the folders that it finds in each
    split. So a missing folder shifts the numbers of all later ones. The message
    has the command that creates an empty folder.
    """
    found: dict[str, list[Folders]] = {}
    strange: list[str] = []
    for part in look:
        # Folders of unlabeled images need not be classes.
        for key, cfg in part.leaf_cfgs() if part.name != 'pretext' else ():
            each = _folders_of(key, cfg)
            if each:
                if head_classes(look.cfg) is not None:
                    # Nothing else uses the numbers.
                    each = _without_no_classes(look, each)
                    if part.name == 'train':
                        strange += _without_images(look, each)
                    names = [name for name in each.names if name not in strange]
                    each = each._replace(names=names)
                    _check_level(look, each, part.name)
                found.setdefault(part.name, []).append(each)
                _check_declared(look, each)
    if not found.get('train'):
        # A config with evaluation splits only.
        found['train'] = [each for group in found.values() for each in group][:1]
    for first in found['train'][:1]:
        for group in found.values():
            for other in group:
                if (
                    other is not first
                    and other.names != first.names
                    and other.names
                    and first.names
                ):
                    _tell(look, first, other)


def _folders_of(key: str, cfg: dict) -> Folders | None:
    dataset = unread(cfg)
    if dataset is None or not names_classes_by_folder(dataset):
        return None
    root = dataset.img_prefix
    if not is_local(root) or not osp.isdir(root):
        return None
    return Folders(
        key,
        root,
        folder_names(root),
        [str(name) for name in dataset.CLASSES or ()],
        tuple(dataset.extensions),
    )


def _without_no_classes(look: Look, found: Folders) -> Folders:
    """The folders without those that programs created, which are refused."""
    bad = [name for name in found.names if name.startswith('.') or name in _NO_CLASSES]
    if not bad:
        return found
    look.refuse(
        f'{found.key}: {found.root!r} has the folder(s) {_some(bad)}, which a '
        'program has created and which would count as classes. Remove '
        f'{osp.join(found.root, bad[0])!r}.'
    )
    return found._replace(names=[n for n in found.names if n not in bad])


def _without_images(look: Look, found: Folders) -> list[str]:
    """Folders that hold files and no image, such as a publisher's lists. They are
    refused."""
    bad = {}
    for name in found.names:
        kinds = set()
        for _, _, files in os.walk(osp.join(found.root, name)):
            kinds = kinds | {
                osp.splitext(file)[1].lower()
                for file in files
                if not file.startswith('.') and file.lower() not in _NO_FILES
            }
            if kinds & set(found.suffixes):
                break
        else:
            # An empty folder stands for a class without images.
            bad.update({name: kinds} if kinds else {})
    if len(bad) == len(found.names):
        # Another check tells of folders without any image.
        return []
    if bad:
        kinds = sorted(set().union(*bad.values()))
        look.refuse(
            f'{found.key}: {found.root!r} has the folder(s) {_some(list(bad))} with '
            f'files of the suffix {_some(kinds)} and no image that is read, and each '
            'would count as a class. Move what is no class elsewhere, or save the '
            'images of a class as .jpg or .png.'
        )
    return list(bad)


def _check_level(look: Look, found: Folders, part: str) -> None:
    """Refuse a folder that does not contain the class folders."""
    if not found.names:
        look.refuse(
            f'{found.key}: {found.root!r} has no class folders. Put the images '
            'of each class into a folder of its own, or list their labels in '
            'an ann_file.'
        )
    elif len(found.names) == 1 and part == 'train':
        inner = osp.join(found.root, found.names[0])
        below = sorted(e.name for e in os.scandir(inner) if e.is_dir())
        hint = (
            f' It contains the folders {_some(below)}. If these are the '
            f'classes, set data_root and data_prefix to {inner!r}.'
            if below
            else ' Add a folder for each class.'
        )
        look.refuse(
            f'{found.key}: {found.root!r} has only one class folder, '
            f'{found.names[0]!r}, but a classifier needs two.{hint}'
        )


def folder_names(root: str) -> list[str]:
    """The folders that mmpretrain numbers, in its order, with hidden ones."""
    from mmengine.fileio import get_file_backend

    backend = get_file_backend(root, enable_singleton=True)
    return sorted(
        backend.list_dir_or_file(root, list_dir=True, list_file=False, recursive=False)
    )


def _check_declared(look: Look, found: Folders) -> None:
    names, declared = found.names, found.declared
    if not declared or names == declared:
        return
    if sorted(names) == sorted(declared):
        look.warn(
            f'{found.key}.classes lists {", ".join(declared[:4])}, but its '
            f'class folders are numbered by name: {", ".join(names[:4])}. '
            'Results would be reported under wrong names. Write classes in '
            'the order of the folders.'
        )
    elif len(names) != len(declared):
        alike = set(names) & set(declared)
        missing = [name for name in declared if name not in names]
        more = [name for name in names if name not in declared]
        text = ''
        if alike and missing:
            text += f' Classes without a folder: {_some(missing)}.'
        if alike and more:
            text += f' Folders without a class: {_some(more)}.'
        look.refuse(
            f'{found.key}.classes names {len(declared)} classes, but '
            f'{found.root!r} has {len(names)} class folders.{text} '
            'Correct classes, or create an empty folder for a class without '
            'images.'
        )


def _tell(look: Look, first: Folders, other: Folders) -> None:
    missing = [name for name in first.names if name not in other.names]
    extra = [name for name in other.names if name not in first.names]
    shifted = [
        name
        for i, name in enumerate(other.names)
        if name in first.names and first.names.index(name) != i
    ]
    parts = []
    if missing:
        parts.append(f'has no class folder {_some(missing)}')
    if extra:
        parts.append(f'has class folder(s) {_some(extra)} that {first.root!r} lacks')
    text = f'{other.key}: {other.root!r} {" and ".join(parts)}'
    spelling = _spelling(missing, extra)
    if spelling:
        look.refuse(f'{text}: {spelling}. Rename the folder.')
    elif not shifted and not extra:
        look.warn(
            f'{text}, but {first.root!r} has. The numbers of the other classes agree.'
        )
    else:
        name = shifted[0] if shifted else extra[0]
        number = other.names.index(name)
        was = (
            f'in place of {first.names.index(name)}'
            if shifted
            else 'which no training class has'
        )
        look.refuse(
            f'{text}, so {name!r} gets the number {number}, {was}. '
            f'{_remedy(first, other, missing, extra)}'
        )


def _remedy(
    first: Folders, other: Folders, missing: list[str], extra: list[str]
) -> str:
    text = (
        'Create an empty folder for each class without images: '
        if (missing or extra)
        else ''
    )
    target, names = (other, missing) if missing else (first, extra)
    made = ' '.join(repr(osp.join(target.root, name)) for name in names[:3])
    text += f'mkdir {made}{" ..." * (len(names) > 3)}'
    return text + ('.' if missing else ', or remove the folder.')


def _spelling(missing: list[str], extra: list[str]) -> str:
    """Two names that differ only in case, blanks or signs; else ''."""

    def plain(name: str) -> str:
        name = unicodedata.normalize('NFC', name)
        return ''.join(c for c in name.casefold() if c.isalnum())

    for name in missing:
        for other in extra:
            if plain(name) and plain(name) == plain(other):
                alike = unicodedata.normalize('NFC', name) == unicodedata.normalize(
                    'NFC', other
                )
                # An accent may be a separate Unicode character.
                name, other = (
                    (ascii(name), ascii(other)) if alike else (repr(name), repr(other))
                )
                return f'{name} and {other} are spelt differently'
    return ''


def _some(names: list[Any]) -> str:
    text = ', '.join(repr(name) for name in names[:4])
    return text + f' and {len(names) - 4} more' * (len(names) > 4)
