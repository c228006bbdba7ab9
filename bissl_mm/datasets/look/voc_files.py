"""Checks VOC's annotation files before mmdet reads them."""

import os.path as osp
import random
from collections import Counter
from typing import Any

from .boxes import MOSTLY, check_sizes
from .coco_classes import nearest
from .findings import Look
from .parts import MAX_HEADERS, PartLook
from .unread import is_local, unread
from .voc_boxes import VocBoxes, read_annotation


def check_voc(look: Look) -> None:
    """Check the XML files of mmdet's ``XMLDataset`` and derived classes.

    Checked are tags, numbers, names of classes and sizes. Boxes are counted by
    class in each split's table, and what is left out is counted by reason.
    """
    for part in look:
        for key, cfg in part.leaf_cfgs():
            dataset = unread(cfg)
            kinds = {
                kind.__name__: kind
                for kind in type(dataset).__mro__
                if kind.__module__ == 'mmdet.datasets.xml_style'
            }
            own = kinds.get('XMLDataset')
            if (
                own is None
                or type(dataset).load_data_list is not own.load_data_list
                or not is_local(dataset.ann_file)
                or not osp.isfile(dataset.ann_file)
                or not isinstance(dataset.metainfo.get('classes'), (list, tuple))
            ):
                continue
            _check_dataset(look, part, f'{key}.ann_file', dataset)


def _check_dataset(look: Look, part: PartLook, key: str, dataset: Any) -> None:
    with open(dataset.ann_file, encoding='utf-8', errors='replace') as file:
        ids = [line.rstrip('\n') for line in file]
    if not part.everything and len(ids) > MAX_HEADERS:
        ids = random.Random(0).sample(ids, MAX_HEADERS)
    found, classes = VocBoxes(), list(dataset.metainfo['classes'])
    for each in ids:
        path = osp.join(dataset.sub_data_root, dataset.ann_subdir, f'{each}.xml')
        image = osp.join(dataset.sub_data_root, dataset.img_subdir, f'{each}.jpg')
        read_annotation(found, path, image, classes, dataset.bbox_min_size or 0)
    name = f'{key}: {dataset.ann_file!r}'
    for fault, paths in found.faults.items():
        look.refuse(
            f'{name}: {len(paths)} of {len(ids)} annotations, '
            f'for example {paths[0]!r}, {fault}'
        )
    if found.faults:
        return
    before = len(look.refusals)
    check_sizes(look, part, name, found.images)
    # With a wrong image size, the boxes cannot be checked.
    if len(look.refusals) == before:
        _check_outside(look, name, found, classes)
    _check_names(look, part, name, found, classes)
    _check_flat(look, part, name, found)
    _count(look, part, name, found, classes, dataset, len(ids))


def _check_names(
    look: Look, part: PartLook, name: str, found: VocBoxes, classes: list[str]
) -> None:
    other = {each: n for each, n in found.names.items() if each not in classes}
    used, total = (
        sum(found.names.values()) - sum(other.values()),
        sum(found.names.values()),
    )
    for each, number in other.items():
        part.left_out.append(
            f'{number} of {total} boxes: class {each!r} not in metainfo.classes'
        )
        near = nearest(each, classes)
        if near and each.strip().lower() == near.strip().lower():
            look.refuse(
                f'{name}: {number} boxes have class {each!r}, but '
                f'metainfo.classes has {near!r}, so they would be lost. Write '
                'both in the same way, with the same blanks and capitals.'
            )
    if other and used:
        shown = ', '.join(
            f'{each!r} ({n})' for each, n in Counter(other).most_common(5)
        )
        look.warn(
            f'{name}: {sum(other.values())} of {total} boxes have '
            f'names that metainfo.classes does not have: {shown}. The '
            'detector learns them as background. Add the names if they are '
            'objects.'
        )
    if not used:
        shown = ', '.join(repr(each) for each in list(other)[:5]) or 'none'
        look.refuse(
            f'{name}: no box has a class in metainfo.classes '
            f'({", ".join(map(repr, classes[:5]))}, ...). The files '
            f'have {shown}. Set metainfo.classes to these.'
        )
    elif found.largest <= 1.5 and found.images:
        look.refuse(
            f'{name}: all coordinates are from 0 to 1, and mmdet cuts them '
            'to whole pixels. Multiply x by the width and y by the height.'
        )


def _check_outside(look: Look, name: str, found: VocBoxes, classes: list[str]) -> None:
    if not found.outside:
        return
    number = sum(found.names[each] for each in classes)
    text = (
        f'{name}: {len(found.outside)} of {number} boxes reach outside '
        f'of their images, for example in {found.outside[0]!r}. '
    )
    if len(found.outside) > MOSTLY * number:
        look.refuse(
            text + 'Write them in pixels of the image file, as xmin, ymin, xmax, ymax.'
        )
    else:
        look.warn(text + 'Compare them with tools/browse_dataset.py.')


def _check_flat(look: Look, part: PartLook, name: str, found: VocBoxes) -> None:
    """Report boxes without width or height; the log of their size is infinite."""
    if not found.flat:
        return
    text = (
        f'{name}: {len(found.flat)} boxes have no width or no height, '
        f'for example in {found.flat[0]!r}. '
    )
    if part.name != 'train':
        look.warn(text + 'No detection can match them. Remove or correct them.')
    elif _takes_any_overlap(look.cfg.get('model')):
        look.refuse(
            text + 'With min_pos_iou=0 they make the loss infinite. Remove '
            'them, or leave them out with --cfg-options '
            f'{name.partition(":")[0].replace("ann_file", "filter_cfg")}'
            '.bbox_min_size=1.'
        )
    else:
        look.warn(text + 'Remove or correct them.')


def _takes_any_overlap(node: Any) -> bool:
    """Whether an assigner may give an object an anchor that does not touch it."""
    if isinstance(node, dict):
        return (
            node.get('min_pos_iou') == 0
            and 'type' in node
            or any(map(_takes_any_overlap, node.values()))
        )
    return isinstance(node, (list, tuple)) and any(map(_takes_any_overlap, node))


def _count(
    look: Look,
    part: PartLook,
    name: str,
    found: VocBoxes,
    classes: list[str],
    dataset: Any,
    total: int,
) -> None:
    number = sum(found.names[each] for each in classes)
    difficult = sum(found.difficult.values())
    if number and difficult == number:
        look.refuse(
            f'{name}: all {number} boxes are difficult, so they count '
            'neither as object nor as background. Write '
            '<difficult>0</difficult> for those that shall count.'
        )
    part.facts['boxes'] = part.facts.get('boxes', 0) + number - difficult
    for each in classes:
        titles = part.classes.setdefault(each, {})
        titles['boxes'] = (
            titles.get('boxes', 0) + found.names[each] - found.difficult[each]
        )
    if difficult:
        part.left_out.append(
            f'{difficult} of {number} boxes: difficult, neither object nor background'
        )
    if found.small:
        part.left_out.append(
            f'{found.small} of {number} boxes: smaller than bbox_min_size='
            f'{dataset.bbox_min_size}, neither object nor background'
        )
    filters = {} if dataset.test_mode else dataset.filter_cfg or {}
    if filters.get('filter_empty_gt') and found.empty:
        part.left_out.append(
            f'{found.empty} of {total} images: no boxes (filter_empty_gt)'
        )
    elif found.empty:
        key = 'images without boxes'
        part.facts[key] = part.facts.get(key, 0) + found.empty
    smallest = filters.get('min_size', 0)
    small = sum(min(image.size) < smallest for image in found.images)
    if small:
        part.left_out.append(
            f'{small} of {total} images: smaller than min_size={smallest} of filter_cfg'
        )
