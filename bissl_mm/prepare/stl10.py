"""STL-10: 100,000 unlabeled images, and 13,000 of ten classes.

The publisher's parts stay as they are. There is no validation part; the config sets
a fifth of each class of the training part aside.
"""

from pathlib import Path

import numpy as np
from PIL import Image

from ..utils.errors import ValueRefusal
from .registry import register
from .task import Task

SIDE = 96
BYTES = 3 * SIDE**2


@register(
    'stl10',
    folders=('stl10',),
    download='stl10_binary.tar.gz, from the STL-10 page of Adam Coates at Stanford',
    markers=(('class_names.txt', 'train_X.bin'),),
    expected=dict(unlabeled=100000, train=5000, test=8000),
)
def prepare_stl10(root: Path, task: Task) -> None:
    """Write ``stl10/unlabeled``, ``stl10/train/<class>``, ``stl10/test/<class>``."""
    names = (root / 'class_names.txt').read_text().split()
    images = {part: read_images(root / f'{part}_X.bin') for part in task.expected}
    labels = {
        part: read_labels(root / f'{part}_y.bin', len(names), len(images[part]))
        for part in ('train', 'test')
    }
    task.check({part: len(found) for part, found in images.items()})
    for part, found in images.items():
        split = task.split('stl10', part)
        for i, pixels in enumerate(found):
            folder = part if part not in labels else f'{part}/{names[labels[part][i]]}'
            path = split.place(f'{folder}/{i:06}.png', f'{part}_X.bin/{i}')
            # The file has columns before rows.
            Image.fromarray(pixels.transpose(2, 1, 0)).save(path)
        if part in labels:
            split.remark = f'{len(names)} classes'


def read_images(path: Path) -> np.ndarray:
    """``(N, 3, columns, rows)`` uint8, on the disk; none if there is no file.

    Raises:
        ValueRefusal: If the file is cut off.
    """
    if not path.exists():
        return np.zeros((0, 3, SIDE, SIDE), np.uint8)
    size = path.stat().st_size
    if size % BYTES:
        raise ValueRefusal(
            f"'{path}' is cut off: its size of {size} bytes is not a multiple of "
            f'{BYTES}. Download it again.'
        )
    if not size:
        return np.zeros((0, 3, SIDE, SIDE), np.uint8)
    return np.memmap(path, np.uint8, 'r').reshape(-1, 3, SIDE, SIDE)


def read_labels(path: Path, classes: int, number: int) -> np.ndarray:
    """``(N, )`` class indices from 0.

    Raises:
        ValueRefusal: If there is no label, or one of no class, for some image.
    """
    labels = np.fromfile(path, np.uint8) if path.exists() else np.zeros(0, np.uint8)
    if len(labels) != number or not all(1 <= i <= classes for i in labels):
        raise ValueRefusal(
            f"'{path}' does not have the publisher's form: it has {len(labels)} labels "
            f'for {number} images of {classes} classes, which are numbered from 1. '
            'Download it again.'
        )
    return labels.astype(int) - 1
