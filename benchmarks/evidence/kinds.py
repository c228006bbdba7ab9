"""Which kind of labeled set a folder holds."""

from pathlib import Path
from typing import Dict, Optional

from coco_layout import find_coco
from dense_packs import DetectionPack, SegmentationPack
from layout_words import SUFFIXES, folders, is_mask, listed
from mask_layout import are_masks, find_masks
from packs import Pack

from bissl_mm.utils.errors import (FileNotFoundRefusal, Refusal,
                                    ValueRefusal)

#: What of each kind is looked for.
KINDS: Dict[str, str] = dict(
    classification='images in train/<class>',
    detection="files in COCO's format, annotations/instances_train.json or "
    'train/_annotations.coco.json for example',
    segmentation='folders of images and of masks, img_dir/train with '
    'ann_dir/train for example')
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
    if not root.is_dir():
        raise FileNotFoundRefusal(
            f'BISSL_DOWNSTREAM_DIR is {str(root)!r}, which is no folder. Type '
            'export BISSL_DOWNSTREAM_DIR=FOLDER.')
    classes = _has_class_folders(root)
    try:
        masks = find_masks(root)
    except Refusal:
        if not classes:
            raise
        # Classes with a mask and without.
        masks = {}
    has = dict(detection=bool(find_coco(root)),
               segmentation=bool(masks) and (
                   not classes or are_masks(masks['train'])),
               classification=classes)
    found = [kind for kind, it_has in has.items() if it_has]
    if not found:
        looked = '; '.join(f'for {kind} {what}'
                           for kind, what in KINDS.items())
        raise FileNotFoundRefusal(
            f'{root} has none of the layouts that were looked for: {looked}. '
            'Lay it out so, or name another folder in BISSL_DOWNSTREAM_DIR.')
    if len(found) > 1:
        raise ValueRefusal(
            f'{root} can be read as {" and as ".join(found)}. Type '
            f'--task {found[0]} or --task {found[1]}.')
    return found[0]


def own_pack(name: str, root: str, task: Optional[str],
             num_classes: Optional[int]):
    """A set of the user's, of the kind that its layout has.

    Args:
        name (str): For the records.
        root (str): Its folder.
        task (str, optional): One of ``KINDS``; None to recognise it.
        num_classes (int, optional): Number of classes.
    """
    task = task or kind_of(Path(root))
    if task == 'detection':
        return DetectionPack(name, root, num_classes=num_classes)
    if task == 'segmentation':
        return SegmentationPack(name, root, num_classes=num_classes)
    if not _has_class_folders(Path(root)):
        raise FileNotFoundRefusal(
            f'{root} has no {KINDS[task]}. Lay the images out so.')
    classes = Pack(name, root, 0).classes
    if num_classes not in (None, len(classes)):
        raise ValueRefusal(
            f'BISSL_NUM_CLASSES is {num_classes}, but {root}/train has '
            f'{len(classes)} class folders: {listed(classes)}. Type export '
            f'BISSL_NUM_CLASSES={len(classes)}.')
    # 15 epochs at least.
    number = Pack(name, root, 0).number
    return Pack(name, root, max(15, round(
        LEAST_STEPS / max(1, number // 50))))


def _has_class_folders(root: Path) -> bool:
    train = root / 'train'
    if not train.is_dir():
        return False
    names = {names[0] for names, files in folders(train)
             if names and any(f.lower().endswith(SUFFIXES) for f in files)}
    # Not where images and masks, or images alone, are below.
    return len(names) > 2 or any(is_mask((name, )) is None for name in names)
