"""CIFAR-10 and CIFAR-100 in full: 50,000 training and 10,000 test images."""

from pathlib import Path

import numpy as np
from PIL import Image

from ...utils.errors import ValueRefusal
from ..cifar10 import SIDE, TRAIN, read_batches, unpickle
from ..plain import Labeled, lay_out
from ..registry import register
from ..task import Task
from ..texts import lines_of

EXPECTED = dict(train=50000, test=10000)
#: Values of an image, red, green and blue.
VALUES = 3 * SIDE**2


@register(
    'cifar10-full',
    folders=('cifar10',),
    download='cifar-10-python.tar.gz or cifar-10-binary.tar.gz, from the '
    'CIFAR-10 page of Alex Krizhevsky',
    markers=(('batches.meta',), ('batches.meta.txt',)),
    expected=EXPECTED,
)
def prepare_cifar10(root: Path, task: Task) -> None:
    """Write ``cifar10``; the publisher has no validation part."""
    batches, names = read_batches(root)
    rows = {
        'train': [name for name in TRAIN if name in batches],
        'test': [name for name in ('test_batch',) if name in batches],
    }
    parts = {
        part: [
            Labeled(f'images/{part}/{name}_{i:05}.png', int(label), f'{name}/{i:05}')
            for name in found
            for i, label in enumerate(batches[name].labels)
        ]
        for part, found in rows.items()
    }
    images = {name: batch.images for name, batch in batches.items()}
    lay_out(task, 'cifar10', names, parts, save=saver(images))


@register(
    'cifar100',
    folders=('cifar100',),
    download='cifar-100-python.tar.gz or cifar-100-binary.tar.gz, from the '
    'CIFAR-10 page of Alex Krizhevsky',
    markers=(('meta', 'train'), ('fine_label_names.txt', 'train.bin')),
    expected=EXPECTED,
)
def prepare_cifar100(root: Path, task: Task) -> None:
    """Write ``cifar100`` with the 100 fine classes."""
    binary = (root / 'fine_label_names.txt').exists()
    if binary:
        names = lines_of(root / 'fine_label_names.txt')
    else:
        found = unpickle(root / 'meta', b'fine_label_names')[0]
        names = [name.decode() for name in found]
    images, parts = {}, {}
    for part in EXPECTED:
        images[part], labels = read_part(root, part, binary)
        parts[part] = [
            Labeled(f'images/{part}/{i:05}.png', int(label), f'{part}/{i:05}')
            for i, label in enumerate(labels)
        ]
    lay_out(task, 'cifar100', names, parts, save=saver(images))


def read_part(root: Path, part: str, binary: bool) -> tuple[np.ndarray, np.ndarray]:
    """``(N, 32, 32, 3)`` uint8 images and ``(N, )`` fine labels; none without a file.

    Raises:
        ValueRefusal: If the file does not have the publisher's form.
    """
    path = root / (f'{part}.bin' if binary else part)
    data, labels = np.zeros((0, VALUES), np.uint8), np.zeros(0, int)
    if path.exists() and binary:
        # A byte for the coarse class, one for the fine class, 3072 of the image.
        rows = np.fromfile(path, np.uint8)
        if rows.size % (2 + VALUES):
            raise ValueRefusal(
                f"'{path}' is cut off: its size of {rows.size} bytes is not a "
                f'multiple of {2 + VALUES}. Download it again.'
            )
        rows = rows.reshape(-1, 2 + VALUES)
        data, labels = rows[:, 2:], rows[:, 1]
    elif path.exists():
        data, labels = map(np.asarray, unpickle(path, b'data', b'fine_labels'))
        if data.dtype != np.uint8 or data.shape != (len(labels), VALUES):
            raise ValueRefusal(
                f"'{path}' does not have the publisher's form: it has {data.shape} "
                f'{data.dtype} values and {len(labels)} labels. Download it again.'
            )
    return data.reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1), labels


def saver(images: dict[str, np.ndarray]):
    """A function that saves the image of an origin such as ``'train/00012'``."""

    def save(origin: str, target: Path) -> None:
        name, index = origin.split('/')
        Image.fromarray(images[name][int(index)]).save(target)

    return save
