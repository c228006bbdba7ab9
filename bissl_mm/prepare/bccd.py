"""Blood cells (BCCD): three classes of boxes, as COCO annotations.

Images and splits are the publisher's. Its corners are counted from 1. Here
they are counted from 0, as mmdet does when it reads VOC annotations. A box
that leaves the image is cut at its edge. A box without area is left out.
"""

import json
import shutil
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

from PIL import Image

from ..utils.errors import ValueRefusal
from .registry import register
from .task import Split, Task

CLASSES = ('RBC', 'WBC', 'Platelets')
CORNERS = ('xmin', 'ymin', 'xmax', 'ymax')
PARTS = ('train', 'val', 'test')


@register(
    'bccd',
    folders=('bccd_voc',),
    download='the BCCD_Dataset repository of Shenggan',
    markers=(('Annotations', 'ImageSets/Main', 'JPEGImages'),),
    expected=dict(train=205, val=87, test=72),
)
def prepare_bccd(root: Path, task: Task) -> None:
    """Write ``bccd_voc/JPEGImages`` and ``bccd_voc/annotations_coco``."""
    listed = {}
    for part in PARTS:
        path = root / 'ImageSets' / 'Main' / f'{part}.txt'
        listed[part] = path.read_text().split() if path.exists() else []
    there = {
        part: sorted(
            stem for stem in stems if all(path.exists() for path in paths(root, stem))
        )
        for part, stems in listed.items()
    }
    task.check({part: len(stems) for part, stems in there.items()})
    for part, stems in there.items():
        split = task.split('bccd_voc', part)
        write_part(root, split, stems)
        split.left_out(len(listed[part]) - len(stems))


def paths(root: Path, stem: str) -> tuple[Path, Path]:
    """Paths of an image and its annotation."""
    return (root / 'JPEGImages' / f'{stem}.jpg', root / 'Annotations' / f'{stem}.xml')


def write_part(root: Path, split: Split, stems: list[str]) -> None:
    """Copy the images of a split and write its annotations."""
    images, annotations, left_out = [], [], 0
    for image_id, stem in enumerate(stems, 1):
        source, labels = paths(root, stem)
        shutil.copyfile(
            source, split.place(f'JPEGImages/{stem}.jpg', f'JPEGImages/{stem}.jpg')
        )
        width, height = Image.open(source).size
        images.append(
            dict(id=image_id, file_name=f'{stem}.jpg', width=width, height=height)
        )
        for category_id, (x, y, w, h) in read_boxes(labels, width, height):
            if w <= 0 or h <= 0:
                left_out += 1
                continue
            annotations.append(
                dict(
                    id=len(annotations) + 1,
                    image_id=image_id,
                    iscrowd=0,
                    category_id=category_id,
                    bbox=[x, y, w, h],
                    area=w * h,
                )
            )
    split.other(f'annotations_coco/instances_{split.name}.json').write_text(
        json.dumps(
            dict(
                images=images,
                annotations=annotations,
                categories=[dict(id=i, name=name) for i, name in enumerate(CLASSES, 1)],
            )
        )
    )
    number: dict[int, int] = Counter(a['category_id'] for a in annotations)
    split.remark = ', '.join(f'{number[i]} {name}' for i, name in enumerate(CLASSES, 1))
    split.remark += f'; {left_out} without area' * bool(left_out)


def read_boxes(
    path: Path, width: int, height: int
) -> list[tuple[int, tuple[int, int, int, int]]]:
    """Category and ``(x, y, width, height)`` in pixels of each box.

    Raises:
        ValueRefusal: If the annotation is damaged or has an unknown class.
    """
    try:
        found = [
            (
                node.findtext('name', '').strip(),
                # Some tools write '12.0'. mmdet cuts fractions off, too.
                [
                    int(float(node.findtext(f'bndbox/{corner}', ''))) - 1
                    for corner in CORNERS
                ],
            )
            for node in ElementTree.parse(path).getroot().iter('object')
        ]
    except (ElementTree.ParseError, TypeError, ValueError, OverflowError) as error:
        raise ValueRefusal(
            f"'{path}' is not an annotation in VOC's format ({error}). Download "
            'it again.'
        ) from error
    boxes = []
    for name, corners in found:
        if name not in CLASSES:
            raise ValueRefusal(
                f"'{path}' has a box of class {name!r}, but the classes of BCCD "
                f'are {", ".join(CLASSES)}. Download it again.'
            )
        left, top, right, bottom = (
            min(max(corner, 0), edge)
            for corner, edge in zip(corners, (width, height) * 2, strict=True)
        )
        boxes.append((CLASSES.index(name) + 1, (left, top, right - left, bottom - top)))
    return boxes
