"""Reads one annotation file of VOC as mmdet does."""

import math
import xml.etree.ElementTree as ET
from collections import Counter, defaultdict
from dataclasses import dataclass, field

from .boxes import MARGIN, Annotated

_SIDES = ('xmin', 'ymin', 'xmax', 'ymax')
_VOC = (
    'Write it as VOC does: <object><name>cat</name><bndbox><xmin>1</xmin>'
    '<ymin>1</ymin><xmax>20</xmax><ymax>30</ymax></bndbox></object>.'
)


@dataclass
class VocBoxes:
    """The content of one dataset's files; each fault with its first file."""

    faults: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    images: list[Annotated] = field(default_factory=list)
    names: Counter = field(default_factory=Counter)
    difficult: Counter = field(default_factory=Counter)
    small: int = 0
    outside: list[str] = field(default_factory=list)
    #: Files with boxes that have no width or no height.
    flat: list[str] = field(default_factory=list)
    empty: int = 0
    largest: float = 0.0


def read_annotation(
    found: VocBoxes, path: str, image: str, classes: list[str], min_size: float
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
        # mmdet also cuts them to whole pixels.
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
        return None, f'are not XML ({error}). Export them again.'


def _size(root: ET.Element) -> tuple[int, int] | None:
    try:
        return (
            int(root.findtext('size/width', '')),
            int(root.findtext('size/height', '')),
        )
    except ValueError:
        return None


def _object(each: ET.Element) -> tuple[str, list[float], str]:
    """Name and box of an object, and what is wrong with it."""
    name = each.findtext('name')
    if not name:
        return '', [], 'have an <object> without a <name>.'
    try:
        box = [float(each.findtext(f'bndbox/{side}', '')) for side in _SIDES]
    except ValueError:
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
            'or ymin, as if they were width and height.',
        )
    difficult = each.findtext('difficult')
    if difficult is not None and difficult.strip() not in ('0', '1'):
        return (
            name,
            [],
            f'have <difficult>{difficult}</difficult>, which must be 0 or 1.',
        )
    return name, box, ''


def _is_difficult(each: ET.Element) -> bool:
    return (each.findtext('difficult') or '0').strip() == '1'
