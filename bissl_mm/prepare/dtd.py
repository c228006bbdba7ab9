"""Describable Textures Dataset (DTD), the first of its ten splits.

Images and split are the publisher's, unchanged. Training, validation and test
have a third of each class. ``dtd`` has all 47 classes in the plain form, ``dtd5``
has five in folders.
"""

import shutil
from pathlib import Path
from typing import Any

from ..utils.errors import ValueRefusal
from .plain import PARTS, Labeled, lay_out_files
from .registry import register
from .task import Task
from .texts import lines_of, numbered

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
    listed = {
        part: [line for line in lines if line.split('/')[0] in FIVE]
        for part, lines in read_lists(root).items()
    }
    task.check(
        {
            part: sum((root / 'images' / line).exists() for line in lines)
            for part, lines in listed.items()
        }
    )
    for part, lines in listed.items():
        split = task.split('dtd5', part)
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


@register(
    'dtd', folders=('dtd',), **COMMON, expected=dict(train=1880, val=1880, test=1880)
)
def prepare_dtd(root: Path, task: Task) -> None:
    """Write ``dtd`` with the publisher's parts."""
    listed = read_lists(root)
    classes = sorted(
        {line.split('/')[0] for lines in listed.values() for line in lines}
    )
    numbers = numbered(classes)
    parts = {
        part: [
            Labeled(f'images/{line}', numbers[line.split('/')[0]], f'images/{line}')
            for line in lines
        ]
        for part, lines in listed.items()
    }
    lay_out_files(root, task, 'dtd', classes, parts)


def read_lists(root: Path) -> dict[str, list[str]]:
    """Images of the first split, such as ``'banded/banded_0002.jpg'``."""
    return {part: lines_of(root / f'labels/{part}1.txt') for part in PARTS}
