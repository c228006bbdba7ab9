"""Checks which boxes in COCO's files mmdet uses."""

from collections import Counter, defaultdict
from typing import Any

from .boxes import MOSTLY
from .coco_entries import CocoFile, tell
from .coco_units import check_units
from .findings import Look
from .parts import PartLook

#: Least and largest area of a mask as a share of its box: a thin line, the box.
_LEAST, _MOST = 0.01, 1.1
#: A warning is given if a larger share of boxes is left out for one reason.
_NOTABLE = 0.01
_REMEDIES = {
    'area 0': 'Write "area": width * height of each box.',
    'narrower or lower than one pixel': 'Write [x, y, width, height] in pixels.',
    'outside of the image': 'Write [x, y, width, height] in pixels of the '
    'image, and its width and height.',
    'flag ignore': 'Remove "ignore", or set it to 0.',
    'image not in the file': 'Correct image_id, or add the images.',
    'class not in metainfo.classes': 'Name the categories of the file in '
    'metainfo.classes.',
}


def check_boxes(look: Look, part: PartLook, file: CocoFile, dataset: Any) -> None:
    """Check the units of boxes, and count those that mmdet leaves out.

    They are counted by reason and class in the split's table.

    Args:
        look (Look): Collects the findings.
        part (PartLook): The split.
        file (CocoFile): Its annotations.
        dataset (CocoDataset): The dataset with its filter and its classes; its
            files are not read yet.
    """
    classes = list(dataset.metainfo['classes'])
    images = {image['id']: image for image in file.images}
    if check_units(look, file, images):
        return
    names = {c['id']: c['name'] for c in file.categories}
    left: dict[str, list[dict]] = defaultdict(list)
    used: list[dict] = []
    for ann in file.annotations:
        reason = _reason(ann, images, names, classes)
        (left[reason] if reason else used).append(ann)
    _check_left(look, part, file, left)
    _check_areas(look, file, used)
    crowd = sum(bool(ann.get('iscrowd')) for ann in used)
    _count(part, used, names, classes, crowd)
    if crowd and crowd == len(used):
        look.refuse(
            f'{file.name}: all {crowd} boxes are crowds (iscrowd 1), '
            'which count neither as object nor as background. Write '
            '"iscrowd": 0 for single objects.'
        )
    _check_images(look, part, file, dataset, used, classes)


def _reason(
    ann: dict, images: dict[Any, dict], names: dict[Any, str], classes: list[str]
) -> str:
    """Why mmdet's ``CocoDataset`` leaves a box out; '' if it uses the box.

    The reasons are in the order of mmdet's own checks.
    """
    if ann['image_id'] not in images:
        return 'image not in the file'
    if ann.get('ignore'):
        return 'flag ignore'
    image = images[ann['image_id']]
    x, y, width, height = ann['bbox']
    inside = (
        min(x + width, image['width']) - max(x, 0),
        min(y + height, image['height']) - max(y, 0),
    )
    if width <= 0 or height <= 0:
        return 'narrower or lower than one pixel'
    if min(inside) <= 0:
        return 'outside of the image'
    if ann['area'] <= 0:
        return 'area 0'
    if width < 1 or height < 1:
        return 'narrower or lower than one pixel'
    if names[ann['category_id']] not in classes:
        return 'class not in metainfo.classes'
    return ''


def _check_left(
    look: Look, part: PartLook, file: CocoFile, left: dict[str, list[dict]]
) -> None:
    total = len(file.annotations)
    lost = sum(map(len, left.values()))
    for reason, anns in left.items():
        first = f'first annotation: id {anns[0]["id"]!r}'
        text = f'{len(anns)} of {total} boxes left out: {reason}'
        part.left_out.append(f'{len(anns)} of {total} boxes: {reason} ({first})')
        if (
            lost == total
            or reason == 'class not in metainfo.classes'
            or len(anns) < _NOTABLE * total
        ):
            continue
        look.warn(f'{file.name}: {text} ({first}). {_REMEDIES[reason]}')
    undeclared = left.get('class not in metainfo.classes', [])
    if undeclared:
        names = {c['id']: c['name'] for c in file.categories}
        counts = Counter(names[ann['category_id']] for ann in undeclared)
        shown = ', '.join(f'{name!r} ({n})' for name, n in counts.most_common(5))
        look.warn(
            f'{file.name}: {len(undeclared)} of {total} boxes have '
            f'categories that metainfo.classes does not name: {shown}.'
            ' The detector learns them as background. Add the names if '
            'they are objects.'
        )
    if total and lost == total:
        main = max(left, key=lambda reason: len(left[reason]))
        reasons = ', '.join(f'{reason} ({len(anns)})' for reason, anns in left.items())
        look.refuse(
            f'{file.name}: {lost} of {total} boxes are left out by '
            f'mmdet: {reasons}; first annotation: id '
            f'{left[main][0]["id"]!r}, bbox {left[main][0]["bbox"]}, '
            f'area {left[main][0]["area"]}. {_REMEDIES[main]}'
        )


def _check_areas(look: Look, file: CocoFile, used: list[dict]) -> None:
    """Warn about areas that do not fit their boxes.

    COCO's metric sorts objects by area into small, medium and large ones.
    """
    wrong = [
        ann
        for ann in used
        if not _LEAST * (size := ann['bbox'][2] * ann['bbox'][3])
        <= ann['area']
        <= _MOST * size + 4
    ]
    if len(wrong) > MOSTLY * len(used):
        ann = wrong[0]
        tell(
            look,
            file.name,
            '{} annotations have an area that does not fit '
            f'their box, for example {ann["area"]} for {ann["bbox"]}, so the '
            'precision of small, medium and large objects will be wrong',
            wrong,
            len(used),
            'Write "area" in pixels: width * height of '
            'the box, or the number of pixels of its mask.',
            look.warn,
        )


def _count(
    part: PartLook,
    used: list[dict],
    names: dict[Any, str],
    classes: list[str],
    crowd: int,
) -> None:
    counts = Counter(
        names[ann['category_id']] for ann in used if not ann.get('iscrowd')
    )
    part.facts['boxes'] = part.facts.get('boxes', 0) + sum(counts.values())
    for name in classes:
        titles = part.classes.setdefault(name, {})
        titles['boxes'] = titles.get('boxes', 0) + counts[name]
    if crowd:
        part.left_out.append(
            f'{crowd} boxes: crowds (iscrowd), neither object nor background'
        )


def _check_images(
    look: Look,
    part: PartLook,
    file: CocoFile,
    dataset: Any,
    used: list[dict],
    classes: list[str],
) -> None:
    """Count images that mmdet's filter leaves out, and those without boxes."""
    total = len(file.images)
    cats = {c['id'] for c in file.categories if c['name'] in classes}
    listed = {a['image_id'] for a in file.annotations if a['category_id'] in cats}
    with_boxes = {ann['image_id'] for ann in used}
    empty = [i for i in file.images if i['id'] not in with_boxes]
    filters = {} if dataset.test_mode else dataset.filter_cfg or {}
    if filters.get('filter_empty_gt'):
        dropped = [i for i in empty if i['id'] not in listed]
        empty = [i for i in empty if i['id'] in listed]
        _leave_images(part, dropped, total, 'no boxes (filter_empty_gt)')
        if len(dropped) == total and file.annotations:
            look.refuse(
                f'{file.name}: all {total} images are left out, because no '
                'box has a class in metainfo.classes. Correct '
                'metainfo.classes.'
            )
    smallest = filters.get('min_size', 0)
    small = [i for i in file.images if min(i['width'], i['height']) < smallest]
    _leave_images(part, small, total, f'smaller than min_size={smallest} of filter_cfg')
    if len(small) == total:
        look.refuse(
            f'{part.key}: all {total} images are smaller than '
            f'filter_cfg.min_size={smallest}; the first is '
            f'{small[0]["width"]} x {small[0]["height"]}. Lower min_size.'
        )
    if empty:
        key = 'images without boxes'
        part.facts[key] = part.facts.get(key, 0) + len(empty)
    if not file.annotations:
        say = look.warn if part.name == 'test' else look.refuse
        say(
            f'{file.name} has no annotations, so there is nothing to learn or '
            'to measure. Set ann_file to the file that has them.'
        )


def _leave_images(part: PartLook, images: list[dict], total: int, reason: str) -> None:
    if images:
        part.left_out.append(
            f'{len(images)} of {total} images: {reason} '
            f'(first: {images[0]["file_name"]!r})'
        )
