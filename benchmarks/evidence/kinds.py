"""Which kind of labeled set a folder holds."""

import os
import shlex
from collections.abc import Callable
from pathlib import Path

from class_folders import OwnClasses, find_parts
from coco_layout import find_coco
from dense_packs import DetectionPack, SegmentationPack
from layout_words import PARTS, SUFFIXES, folders, is_mask, listed
from mask_layout import are_masks, find_masks
from packs import Pack

from bissl_mm.utils.errors import FileNotFoundRefusal, Refusal, ValueRefusal

#: What of each kind is looked for.
KINDS: dict[str, str] = dict(
    classification='images in train/<class>',
    detection="files in COCO's format, annotations/instances_train.json or "
    'train/_annotations.coco.json for example',
    segmentation='folders of images and of masks, img_dir/train with '
    'ann_dir/train for example',
)
#: Of a user's set in the records, and the variables that name the folders.
NAME = 'own'
VARIABLES = ('BISSL_PRETEXT_DIR', 'BISSL_DOWNSTREAM_DIR')
#: Of fine-tuning a classifier on few images.
LEAST_STEPS = 200


def kind_of(root: Path) -> str:
    """The kind of a set, by its layout.

    Args:
        root (Path): Its folder.

    Raises:
        FileNotFoundError: If it has the layout of none.
        ValueError: If it has that of several.
    """
    _check_folder(root)
    parts = find_parts(root)
    classes = bool(parts) and _are_classes(root / parts['train'])
    try:
        # A file of boxes whose images are elsewhere may lie beside classes.
        boxes = _found(find_coco, root, classes and parts['train'] != '.')
    except Refusal as error:
        if not classes:
            raise
        raise type(error)(
            f'{error} Or type --task classification for the class folders.'
        ) from error
    # Classes with a mask and without; pictures beside the file of the boxes.
    masks = _found(find_masks, root, classes or bool(boxes))
    has = dict(
        detection=bool(boxes),
        segmentation=bool(masks) and (not classes or are_masks(masks['train'])),
    )
    # Any folders of images could be classes, if they are of no part.
    has['classification'] = classes and (parts['train'] != '.' or not any(has.values()))
    found = [kind for kind, it_has in has.items() if it_has]
    if not found:
        looked = '; '.join(f'for {kind} {what}' for kind, what in KINDS.items())
        raise FileNotFoundRefusal(
            f'{root} has none of the layouts that were looked for: {looked}. '
            f'{_hint(root)} it out so, name another folder in BISSL_DOWNSTREAM_DIR, or type '
            f'--task {"|".join(KINDS)}.'
        )
    if len(found) > 1:
        raise ValueRefusal(
            f'{root} can be read as {" and as ".join(found)}. Type '
            f'--task {found[0]} or --task {found[1]}.'
        )
    return found[0]


def _hint(root: Path) -> str:
    """Begins the advice: the one folder within that has a layout, as archives are
    unpacked, if there is one."""
    found = []
    for names, _ in folders(root):
        inner = root.joinpath(*names)
        if 0 < len(names) <= 2 and not any(inner.is_relative_to(p) for p in found):
            try:
                if find_parts(inner) or find_coco(inner) or find_masks(inner):
                    found.append(inner)
            except Refusal:
                continue
        if len(found) > 1:
            break
    if len(found) != 1:
        return 'Lay'
    path = shlex.quote(str(found[0]))
    return f'A folder within has one: type export BISSL_DOWNSTREAM_DIR={path}. Or lay'


def read_pack(task: str | None):
    """The labeled set that the variables name.

    Args:
        task (str, optional): One of ``KINDS``; None to recognise it.
    """
    for name in VARIABLES:
        if not os.environ.get(name):
            raise ValueRefusal(
                f'The environment variable {name} is not set. '
                f'Type export {name}=FOLDER.'
            )
    number = os.environ.get('BISSL_NUM_CLASSES')
    if number is not None and not (number.isdecimal() and int(number)):
        raise ValueRefusal(
            f'BISSL_NUM_CLASSES is {number!r}. Type export BISSL_NUM_CLASSES=NUMBER.'
        )
    return own_pack(
        NAME, os.environ[VARIABLES[1]], task, int(number) if number else None
    )


def own_pack(name: str, root: str, task: str | None, num_classes: int | None):
    """A set of the user's, of the kind that its layout has.

    Args:
        name (str): For the records.
        root (str): Its folder.
        task (str, optional): One of ``KINDS``; None to recognise it.
        num_classes (int, optional): Number of classes.
    """
    _check_folder(Path(root))
    by_layout, task = not task, task or kind_of(Path(root))
    if task == 'detection':
        return DetectionPack(name, root, num_classes=num_classes)
    if task == 'segmentation':
        return SegmentationPack(name, root, num_classes=num_classes)
    parts = find_parts(Path(root), named=not by_layout)
    if not parts:
        raise FileNotFoundRefusal(
            f'{root} has no {KINDS["classification"]}, and not two folders <class> '
            'alone. Lay the images out so.'
        )
    # 15 epochs at least.
    as_usual = parts == {part: part for part in PARTS}
    pack = _classes(name, root, 0, as_usual)
    if len(pack.classes) < 2:
        raise ValueRefusal(
            f'{Path(root, parts["train"])} has one class folder, '
            f'{listed(pack.classes)}, so there is nothing to tell apart. Add a folder '
            'for each class.'
        )
    number = pack.number
    pack = _classes(
        name, root, max(15, round(LEAST_STEPS / max(1, number // 50))), as_usual
    )
    if num_classes not in (None, len(pack.classes)):
        raise ValueRefusal(
            f'BISSL_NUM_CLASSES is {num_classes}, but {root} has '
            f'{len(pack.classes)} class folders: {listed(pack.classes)}. Type '
            f'export BISSL_NUM_CLASSES={len(pack.classes)}.'
        )
    return pack


def _check_folder(root: Path) -> None:
    if not root.is_dir():
        raise FileNotFoundRefusal(
            f'BISSL_DOWNSTREAM_DIR is {str(root)!r}, which is no folder. Type '
            'export BISSL_DOWNSTREAM_DIR=FOLDER.'
        )


def _found(find: Callable[[Path], dict], root: Path, classes: bool) -> dict:
    """What is found of another kind; nothing where it is refused beside classes."""
    try:
        return find(root)
    except Refusal:
        if not classes:
            raise
        return {}


def _classes(name: str, root: str, epochs: int, as_usual: bool) -> Pack:
    return (Pack if as_usual else OwnClasses)(name, root, epochs)


def _are_classes(folder: Path) -> bool:
    """Not folders of images and masks, or of images alone."""
    names = {
        names[0]
        for names, files in folders(folder)
        if names and any(f.lower().endswith(SUFFIXES) for f in files)
    }
    kinds = {is_mask((name,)) for name in names}
    # Two folders of masks without one of images: with a mask and without.
    return len(names) > 2 or None in kinds or len(names) == 2 and kinds == {True}
