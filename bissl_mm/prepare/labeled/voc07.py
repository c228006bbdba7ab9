"""PASCAL VOC 2007: which of 20 classes an image has.

Images and parts are the publisher's. ``voc07/meta/PART.json`` has a line for each
image with the numbers of its classes. ``gt_label_difficult`` are those of which it
has difficult objects only; they are in ``gt_label``, too.
"""

import json
from pathlib import Path
from xml.etree import ElementTree

from ...utils.errors import ValueRefusal
from ..plain import PARTS, write_classes
from ..registry import register
from ..task import Task
from ..texts import index_of, lines_of, numbered

CLASSES = [
    'aeroplane',
    'bicycle',
    'bird',
    'boat',
    'bottle',
    'bus',
    'car',
    'cat',
    'chair',
    'cow',
    'diningtable',
    'dog',
    'horse',
    'motorbike',
    'person',
    'pottedplant',
    'sheep',
    'sofa',
    'train',
    'tvmonitor',
]


@register(
    'voc07',
    folders=('voc07',),
    download='VOCtrainval_06-Nov-2007.tar and VOCtest_06-Nov-2007.tar, from the '
    'PASCAL VOC 2007 page, in one folder',
    markers=(
        tuple(f'VOC2007/{p}' for p in ('JPEGImages', 'Annotations', 'ImageSets/Main')),
    ),
    expected=dict(train=2501, val=2510, test=4952),
    offered=('VOCtrainval*2007.tar', 'VOCtest*2007.tar'),
    wanted='VOC2007/(JPEGImages|Annotations|ImageSets/Main)/',
)
def prepare_voc07(root: Path, task: Task) -> None:
    """Write ``voc07`` with the publisher's parts."""
    root = root / 'VOC2007'
    listed = {part: lines_of(root / f'ImageSets/Main/{part}.txt') for part in PARTS}
    there = {
        part: [
            stem
            for stem in stems
            if (root / f'JPEGImages/{stem}.jpg').is_file()
            and (root / f'Annotations/{stem}.xml').is_file()
        ]
        for part, stems in listed.items()
    }
    task.check({part: len(stems) for part, stems in there.items()})
    write_classes(task, 'voc07', CLASSES)
    for part, stems in there.items():
        split, lines = task.split('voc07', part), []
        for stem in stems:
            name = f'images/{stem}.jpg'
            every, difficult = classes_of(root / f'Annotations/{stem}.xml')
            entry = dict(img_path=name, gt_label=every, gt_label_difficult=difficult)
            lines.append(json.dumps(entry))
            source = f'JPEGImages/{stem}.jpg'
            task.take(root / source, split.place(name, source))
        split.other(f'meta/{part}.json').write_text(
            f'{{"metainfo": {json.dumps(dict(classes=CLASSES))}, "data_list": [\n'
            + ',\n'.join(lines)
            + '\n]}\n'
        )
        split.remark = f'{len(CLASSES)} classes, several an image'
        split.left_out(len(listed[part]) - len(stems))


def classes_of(path: Path) -> tuple[list[int], list[int]]:
    """All classes of an image, and those of which it has difficult objects only.

    Raises:
        ValueRefusal: If the annotation is damaged or has an unknown class.
    """
    try:
        objects = [
            (
                (node.findtext('name') or '').strip(),
                bool(int(node.findtext('difficult') or 0)),
            )
            for node in ElementTree.parse(path).getroot().iter('object')
        ]
    except (ElementTree.ParseError, ValueError) as error:
        raise ValueRefusal(
            f"'{path}' is not an annotation in VOC's format ({error}). Download "
            'it again.'
        ) from error
    numbers = numbered(CLASSES)
    every = {index_of(name, numbers, path) for name, _ in objects}
    clear = {index_of(name, numbers, path) for name, hard in objects if not hard}
    return sorted(every), sorted(every - clear)
