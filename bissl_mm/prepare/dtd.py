"""Describable Textures Dataset (DTD), the first of its ten splits.

Images and split are the publisher's, unchanged. Training, validation and test
have a third of each class. ``dtd`` has all 47 classes, ``dtd5`` has five.
"""

import shutil
from pathlib import Path
from typing import Any

from ..utils.errors import ValueRefusal
from .registry import register
from .task import Task

FIVE = ('banded', 'bubbly', 'chequered', 'cobwebbed', 'cracked')
COMMON: dict[str, Any] = dict(
    download='dtd-r1.0.1.tar.gz, from the page of the Describable Textures '
    'Dataset of the Visual Geometry Group, Oxford',
    markers=(('images', 'labels'),),
)


@register(
    'dtd5',
    folders=('dtd5',),
    **COMMON,
    expected=dict(train=200, val=200, test=200),
    wanted=f'labels/|images/({"|".join(FIVE)})/',
)
def prepare_dtd5(root: Path, task: Task) -> None:
    """Write ``dtd5/{train,val,test}/CLASS``."""
    prepare_classes(root, task, 'dtd5', FIVE)


@register(
    'dtd', folders=('dtd',), **COMMON, expected=dict(train=1880, val=1880, test=1880)
)
def prepare_dtd(root: Path, task: Task) -> None:
    """Write ``dtd/{train,val,test}/CLASS``."""
    prepare_classes(root, task, 'dtd', None)


def prepare_classes(
    root: Path, task: Task, folder: str, classes: tuple[str, ...] | None
) -> None:
    """Copy the images in the publisher's lists, of some or all classes."""
    listed = {}
    for part in ('train', 'val', 'test'):
        path = root / 'labels' / f'{part}1.txt'
        lines = path.read_text().split() if path.exists() else []
        listed[part] = [
            line for line in lines if classes is None or line.split('/')[0] in classes
        ]
    task.check(
        {
            part: sum((root / 'images' / line).exists() for line in lines)
            for part, lines in listed.items()
        }
    )
    for part, lines in listed.items():
        split = task.split(folder, part)
        for line in lines:
            image = root / 'images' / line
            if not image.exists():
                raise ValueRefusal(
                    f"'{image}' is listed in {part}1.txt, but does not exist. "
                    'Download the archive again.'
                )
            shutil.copyfile(image, split.place(f'{part}/{line}', f'images/{line}'))
        number = len({line.split('/')[0] for line in lines})
        split.remark = f'{number} classes'
