"""Helpers that the layouts of published_layouts.py share."""

import io
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

#: Classes of PASCAL VOC, in the order of the publisher.
VOC = [
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

Size = tuple[int, int]
#: A labelled box: class name and x1, y1, x2, y2, in pixels from 0.
Box = tuple[str, list[int]]


def picture(rng: np.random.Generator, size: Size, mode: str = 'RGB') -> Image.Image:
    """Coloured clouds of ``(width, height)`` pixels."""
    clouds = rng.integers(0, 256, (4, 4, 3)).astype(np.uint8)
    return Image.fromarray(clouds).resize(size, Image.BICUBIC).convert(mode)


def any_size(rng: np.random.Generator) -> Size:
    """A small landscape, portrait or square format."""
    return tuple(int(n) for n in rng.integers(36, 57, 2))


def encoded(rng: np.random.Generator, mode: str = 'RGB', kind: str = 'JPEG') -> bytes:
    """A picture as the bytes of a file."""
    file = io.BytesIO()
    picture(rng, any_size(rng), mode).save(file, kind)
    return file.getvalue()


def write_lines(path: Path, lines: Sequence[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(''.join(f'{line}\n' for line in lines))


def class_folders(
    root: Path,
    rng: np.random.Generator,
    classes: Sequence[str],
    name: str = '{i:04}.jpg',
    size: Size = None,
    **parts: int,
) -> None:
    """``split/class/*`` with a number of pictures per class and split."""
    for part, number in parts.items():
        for kind in classes:
            folder = root / part / kind
            folder.mkdir(parents=True)
            for i in range(number):
                picture(rng, size or any_size(rng)).save(
                    folder / name.format(kind=kind, i=i)
                )


def regions(rng: np.random.Generator, size: Size, classes: Sequence[str]) -> list[Box]:
    """Two labelled boxes side by side."""
    (width, height), boxes = size, []
    for left, right in ((0, width // 2), (width // 2, width)):
        x1 = left + int(rng.integers(0, (right - left) // 4))
        y1 = int(rng.integers(0, height // 4))
        boxes.append(
            (classes[rng.integers(len(classes))], [x1, y1, right - 2, height - 2])
        )
    return boxes


def mask(
    size: Size, boxes: Sequence[Box], classes: Sequence[str], border: bool
) -> np.ndarray:
    """``(height, width)`` class ids over a background of 0.

    ``border`` draws VOC's 255 around every object.
    """
    ids = np.zeros(size[::-1], np.uint8)
    for name, (x1, y1, x2, y2) in boxes:
        if border:
            ids[max(y1 - 1, 0) : y2 + 1, max(x1 - 1, 0) : x2 + 1] = 255
        ids[y1:y2, x1:x2] = 1 + classes.index(name)
    return ids


def coco_json(
    path: Path,
    names: Sequence[str],
    sizes: Sequence[Size],
    boxes: Sequence[list[Box]],
    classes: Sequence[str],
) -> None:
    """The boxes of some images in COCO's format, categories from 1."""
    annotations = [
        dict(
            image_id=i,
            category_id=1 + classes.index(name),
            iscrowd=0,
            bbox=[x1, y1, x2 - x1, y2 - y1],
            area=(x2 - x1) * (y2 - y1),
            segmentation=[],
        )
        for i, found in enumerate(boxes, 1)
        for name, (x1, y1, x2, y2) in found
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        json.dumps(
            dict(
                images=[
                    dict(id=i, file_name=name, width=width, height=height)
                    for i, (name, (width, height)) in enumerate(
                        zip(names, sizes, strict=True), 1
                    )
                ],
                annotations=[dict(a, id=i) for i, a in enumerate(annotations, 1)],
                categories=[dict(id=i, name=name) for i, name in enumerate(classes, 1)],
            )
        )
    )


def voc_xml(path: Path, year: int, size: Size, boxes: list[Box]) -> None:
    """An annotation as VOC has it: pixels from 1, the last one included.

    In 2012 some coordinates are decimal fractions and persons have parts.
    """
    objects = ''
    for i, (name, (x1, y1, x2, y2)) in enumerate(boxes):
        xmax = f'{x2}' if year == 2007 else f'{x2 - 0.3:.14f}'
        box = (
            f'<bndbox><xmin>{x1 + 1}</xmin><ymin>{y1 + 1}</ymin>'
            f'<xmax>{xmax}</xmax><ymax>{y2}</ymax></bndbox>'
        )
        part = (
            f'\t\t<part><name>head</name>{box}</part>\n'
            if year == 2012 and name == 'person'
            else ''
        )
        objects += (
            f'\t<object>\n\t\t<name>{name}</name>\n'
            '\t\t<pose>Unspecified</pose>\n\t\t<truncated>0</truncated>\n'
            f'\t\t<difficult>{i % 2}</difficult>\n\t\t{box}\n{part}'
            '\t</object>\n'
        )
    path.write_text(
        f'<annotation>\n\t<folder>VOC{year}</folder>\n'
        f'\t<filename>{path.stem}.jpg</filename>\n\t<source>'
        f'<database>The VOC{year} Database</database></source>\n'
        f'\t<size><width>{size[0]}</width><height>{size[1]}</height>'
        f'<depth>3</depth></size>\n\t<segmented>1</segmented>\n{objects}'
        '</annotation>\n'
    )
