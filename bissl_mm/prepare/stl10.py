"""STL-10: 100,000 unlabeled images, and 13,000 of ten classes.

There is no validation part: a fifth of each class of the training part is set
aside. Its files stay with those of the training part.
"""

from pathlib import Path

import numpy as np
from PIL import Image

from ..utils.errors import ValueRefusal
from .plain import Labeled, set_aside, write_parts
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
    """Write ``stl10/unlabeled``, ``stl10/{train,test}/CLASS`` and the lists."""
    names = (root / 'class_names.txt').read_text().split()
    images = {part: read_images(root / f'{part}_X.bin') for part in task.expected}
    parts = {}
    for part in ('train', 'test'):
        path = root / f'{part}_y.bin'
        labels = read_labels(path, len(names), len(images[part]))
        parts[part] = [
            Labeled(
                f'{part}/{names[label]}/{i:06}.png', int(label), f'{part}_X.bin/{i}'
            )
            for i, label in enumerate(labels)
        ]
    task.check({part: len(found) for part, found in images.items()})

    def save(origin: str, path: Path) -> None:
        file, index = origin.split('/')
        pixels = images[file.removesuffix('_X.bin')][int(index)]
        # The file has columns before rows.
        Image.fromarray(pixels.transpose(2, 1, 0)).save(path)

    parts['train'], parts['val'] = set_aside(task, parts['train'])
    write_parts(task, 'stl10', names, parts, save)
    split = task.split('stl10', 'unlabeled')
    for i in range(len(images['unlabeled'])):
        origin = f'unlabeled_X.bin/{i}'
        save(origin, split.place(f'unlabeled/{i:06}.png', origin))


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
