"""VOC's annotation files, before mmdet reads them."""

import math
import os.path as osp
import random
import xml.etree.ElementTree as ET
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

from .boxes import MARGIN, MOSTLY, Annotated, check_sizes
from .coco_classes import nearest
from .findings import Look
from .parts import MAX_HEADERS, PartLook
from .unread import is_local, unread

_SIDES = ('xmin', 'ymin', 'xmax', 'ymax')
_VOC = (
    'Write it as VOC does: <object><name>cat</name><bndbox><xmin>1</xmin>'
    '<ymin>1</ymin><xmax>20</xmax><ymax>30</ymax></bndbox></object>.'
)


@dataclass
class _Found:
    """What the files of one dataset hold; faults with the first file."""

    faults: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    images: list[Annotated] = field(default_factory=list)
    names: Counter = field(default_factory=Counter)
    difficult: Counter = field(default_factory=Counter)
    small: int = 0
    outside: list[str] = field(default_factory=list)
    #: Files with boxes of no width or height.
    flat: list[str] = field(default_factory=list)
    empty: int = 0
    largest: float = 0.0


def check_voc(look: Look) -> None:
    """XML files of mmdet's ``XMLDataset`` and those derived from it: tags,
    numbers, names of classes, sizes; boxes are counted by class into each
    part's table, what is left out by reason."""
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
    found, classes = _Found(), list(dataset.metainfo['classes'])
    for each in ids:
        path = osp.join(dataset.sub_data_root, dataset.ann_subdir, f'{each}.xml')
        image = osp.join(dataset.sub_data_root, dataset.img_subdir, f'{each}.jpg')
        _read(found, path, image, classes, dataset.bbox_min_size or 0)
    name = f'{key}: {dataset.ann_file!r}'
    for fault, paths in found.faults.items():
        look.refuse(
            f'{name}: {len(paths)} of {len(ids)} annotations, '
            f'{paths[0]!r} for example, {fault}'
        )
    if found.faults:
        return
    before = len(look.refusals)
    check_sizes(look, part, name, found.images)
    # Boxes against a wrong size say nothing.
    if len(look.refusals) == before:
        _check_outside(look, name, found, classes)
    _check_names(look, part, name, found, classes)
    _check_flat(look, part, name, found)
    _count(look, part, name, found, classes, dataset, len(ids))


def _read(
    found: _Found, path: str, image: str, classes: list[str], min_size: float
) -> None:
    root, fault = _parsed(path)
    if root is None:
        found.faults[fault].append(path)
        return
    size = _size(root)
    if root.find('size') is not None:
        if size is None:
            found.faults[
                'have a <size> without a whole <width> and <height>.'
                ' Write the size of the image in pixels.'
            ].append(path)
            return
        found.images.append(Annotated(image, size))
    used = 0
    for each in root.findall('object'):
        name, box, fault = _object(each)
        if fault:
            found.faults[f'{fault} {_VOC}'].append(path)
            return
        found.names[name] += 1
        if name not in classes:
            continue
        used += 1
        found.difficult[name] += _is_difficult(each)
        # As mmdet cuts them.
        x1, y1, x2, y2 = map(int, box)
        found.small += min(x2 - x1, y2 - y1) < min_size
        if min(x2 - x1, y2 - y1) <= 0 and min_size < 1:
            found.flat.append(path)
        found.largest = max(found.largest, *box)
        if size and (max(x2 - size[0], y2 - size[1]) > MARGIN or min(x1, y1) < -MARGIN):
            found.outside.append(path)
    found.empty += not used


def _parsed(path: str) -> tuple[ET.Element | None, str]:
    try:
        return ET.parse(path).getroot(), ''
    except FileNotFoundError:
        return (
            None,
            'do not exist. Add them, or correct ann_file, '
            'ann_subdir or data_prefix.sub_data_root.',
        )
    except (ET.ParseError, OSError, ValueError) as error:
        return None, f'are not XML ({error}). Export them anew.'


def _size(root: ET.Element) -> tuple[int, int] | None:
    try:
        return (
            int(root.find('size').find('width').text),
            int(root.find('size').find('height').text),
        )
    except (AttributeError, TypeError, ValueError):
        return None


def _object(each: ET.Element) -> tuple[str, list[float], str]:
    """Name, box and what is wrong with it."""
    name = each.findtext('name')
    if not name:
        return '', [], 'have an <object> without a <name>.'
    try:
        box = [float(each.find('bndbox').find(side).text) for side in _SIDES]
    except (AttributeError, TypeError, ValueError):
        return (
            name,
            [],
            'have an <object> whose <bndbox> is not four '
            'numbers xmin, ymin, xmax, ymax.',
        )
    if not all(map(math.isfinite, box)):
        return name, [], 'have a <bndbox> with a number that is not finite.'
    if box[2] < box[0] or box[3] < box[1]:
        return (
            name,
            [],
            'have a <bndbox> whose xmax or ymax is below xmin '
            'or ymin: it is no width and height.',
        )
    difficult = each.findtext('difficult')
    if difficult is not None and difficult.strip() not in ('0', '1'):
        return (
            name,
            [],
            f'have <difficult>{difficult}</difficult>, which has to be 0 or 1.',
        )
    return name, box, ''


def _is_difficult(each: ET.Element) -> bool:
    return (each.findtext('difficult') or '0').strip() == '1'


def _check_names(
    look: Look, part: PartLook, name: str, found: _Found, classes: list[str]
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
                f'{name}: {number} boxes are of {each!r}, but '
                f'metainfo.classes has {near!r}: they would vanish. '
                'Write both alike, blanks and capitals included.'
            )
    if other and used:
        shown = ', '.join(
            f'{each!r} ({n})' for each, n in Counter(other).most_common(5)
        )
        look.warn(
            f'{name}: {sum(other.values())} of {total} boxes are of '
            f'names that metainfo.classes does not have: {shown}. They '
            'are background for the detector; add the names if that '
            'is not meant.'
        )
    if not used:
        shown = ', '.join(repr(each) for each in list(other)[:5]) or 'none'
        look.refuse(
            f'{name}: no box is of a class in metainfo.classes '
            f'({", ".join(map(repr, classes[:5]))}, ...). The files '
            f'have {shown}. Set metainfo.classes to these.'
        )
    elif found.largest <= 1.5 and found.images:
        look.refuse(
            f'{name}: all coordinates are from 0 to 1, which mmdet '
            'cuts to whole pixels. Multiply x by the width, y by the '
            'height.'
        )


def _check_outside(look: Look, name: str, found: _Found, classes: list[str]) -> None:
    if not found.outside:
        return
    number = sum(found.names[each] for each in classes)
    text = (
        f'{name}: {len(found.outside)} of {number} boxes reach outside '
        f'of their images, in {found.outside[0]!r} for example. '
    )
    if len(found.outside) > MOSTLY * number:
        look.refuse(
            text + 'Write them in pixels of the image file, as xmin, ymin, xmax, ymax.'
        )
    else:
        look.warn(text + 'Compare them with tools/browse_dataset.py.')


def _check_flat(look: Look, part: PartLook, name: str, found: _Found) -> None:
    """Boxes whose sides coincide: a ratio of sizes has no logarithm."""
    if not found.flat:
        return
    text = (
        f'{name}: {len(found.flat)} boxes have no width or no height, '
        f'in {found.flat[0]!r} for example. '
    )
    if part.name != 'train':
        look.warn(text + 'No detection can fit them. Remove or correct them.')
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
    """Whether an assigner gives objects anchors that do not touch them."""
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
    found: _Found,
    classes: list[str],
    dataset: Any,
    total: int,
) -> None:
    number = sum(found.names[each] for each in classes)
    difficult = sum(found.difficult.values())
    if number and difficult == number:
        look.refuse(
            f'{name}: all {number} boxes are difficult, which are '
            'neither object nor background. Write '
            '<difficult>0</difficult> for those that count.'
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
