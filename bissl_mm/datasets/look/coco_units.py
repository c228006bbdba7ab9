"""Checks in which unit and form the boxes of COCO's files are."""

from collections.abc import Callable
from typing import Any

from .boxes import MARGIN, MOSTLY
from .coco_entries import CocoFile, tell
from .findings import Look

#: If a larger share of boxes is outside of its image, they may be corners.
_SHARE = 0.1


def check_units(look: Look, file: CocoFile, images: dict[Any, dict]) -> bool:
    """Refuse coordinates from 0 to 1, and corners; True if any were refused."""
    rows = [
        (ann, images[ann['image_id']])
        for ann in file.annotations
        if ann['image_id'] in images
    ]
    if not rows:
        return False
    if max(max(ann['bbox']) for ann, _ in rows) <= 1.5 and any(
        min(image['width'], image['height']) > 4 for _, image in rows
    ):
        ann, image = rows[0]
        tell(
            look,
            file.name,
            f'{{}} boxes have coordinates from 0 to 1, for example {ann["bbox"]}',
            [ann for ann, _ in rows],
            len(rows),
            'Multiply x and width by the width of the image, y '
            'and height by its height.',
        )
        return True
    outside = [row for row in rows if _outside(*row)]
    corners = all(_are_corners(*row) for row in rows)
    by_area = sum(_area_of_corners(ann) for ann, _ in rows)
    if corners and (len(outside) >= _SHARE * len(rows) or by_area > 0.9 * len(rows)):
        ann, image = (outside or rows)[0]
        x, y, x2, y2 = ann['bbox']
        tell(
            look,
            file.name,
            '{} boxes seem to be corners (x1, y1, x2, y2): read as x, y, '
            f'width, height, {len(outside)} reach outside of their images, for '
            f'example {ann["bbox"]} in an image of {image["width"]} x '
            f'{image["height"]}',
            [ann for ann, _ in rows],
            len(rows),
            'Write [x1, y1, x2 - x1, y2 - y1], here '
            f'{[x, y, round(x2 - x, 6), round(y2 - y, 6)]}.',
        )
        return True
    if len(outside) > MOSTLY * len(rows):
        _tell_outside(look, file, outside, rows, look.refuse)
        return True
    _tell_outside(look, file, outside, rows, look.warn)
    return False


def _tell_outside(
    look: Look,
    file: CocoFile,
    outside: list[tuple[dict, dict]],
    rows: list[tuple[dict, dict]],
    say: Callable[[str], None],
) -> None:
    if not outside:
        return
    ann, image = outside[0]
    tell(
        look,
        file.name,
        '{} boxes reach outside of their images, for example '
        f'{ann["bbox"]} (x, y, width, height) in {image["file_name"]!r} of '
        f'{image["width"]} x {image["height"]}',
        [ann for ann, _ in outside],
        len(rows),
        f'{_reading(rows, len(outside))}Compare them with tools/browse_dataset.py.',
        say,
    )


def _reading(rows: list[tuple[dict, dict]], outside: int) -> str:
    """A sentence about another meaning by which all boxes would be inside."""
    # A few wrong boxes would fit many meanings.
    readings = [
        (
            0.05,
            'x and y were the centre of the box',
            lambda x, y, w, h: (x - w / 2, y - h / 2, w, h),
        ),
        (0.05, 'x and y were swapped', lambda x, y, w, h: (y, x, h, w)),
        (
            MOSTLY,
            'the images were twice as large',
            lambda x, y, w, h: (x / 2, y / 2, w / 2, h / 2),
        ),
    ]
    for share, text, read in readings:
        if outside > share * len(rows) and not any(
            _outside(dict(bbox=read(*ann['bbox'])), image) for ann, image in rows
        ):
            return f'All would be inside if {text}. '
    return ''


def _outside(ann: dict, image: dict) -> bool:
    x, y, width, height = ann['bbox']
    return (
        min(x, y) < -MARGIN
        or x + width > image['width'] + MARGIN
        or y + height > image['height'] + MARGIN
    )


def _are_corners(ann: dict, image: dict) -> bool:
    x1, y1, x2, y2 = ann['bbox']
    return (
        -MARGIN <= x1 < x2 <= image['width'] + MARGIN
        and -MARGIN <= y1 < y2 <= image['height'] + MARGIN
    )


def _area_of_corners(ann: dict) -> bool:
    x1, y1, x2, y2 = ann['bbox']
    area, corners, sides = ann['area'], (x2 - x1) * (y2 - y1), x2 * y2
    near = 0.01 * max(area, 1.0)
    return abs(area - corners) <= near < abs(area - sides)
