"""Fashion-MNIST: 60,000 training and 10,000 test images, grey, 28 x 28 pixels."""

import gzip
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from ...utils.errors import ValueRefusal
from ..plain import Labeled, lay_out
from ..registry import register
from ..task import Task

#: The publisher's table of labels.
CLASSES = (
    'T-shirt/top',
    'Trouser',
    'Pullover',
    'Dress',
    'Coat',
    'Sandal',
    'Shirt',
    'Sneaker',
    'Bag',
    'Ankle boot',
)
#: Part -> the beginning of its files.
FILES = dict(train='train', test='t10k')


@register(
    'fashion_mnist',
    folders=('fashion_mnist',),
    download='the four files *-ubyte.gz of the fashion-mnist repository of Zalando '
    'Research, in one folder',
    markers=tuple((f'train-images-idx3-ubyte{end}',) for end in ('.gz', '')),
    expected=dict(train=60000, test=10000),
)
def prepare_fashion_mnist(root: Path, task: Task) -> None:
    """Write ``fashion_mnist``; the publisher has no validation part."""
    images, parts = {}, {}
    for part, name in FILES.items():
        images[part] = read_idx(root, f'{name}-images-idx3-ubyte', 3)
        labels = read_idx(root, f'{name}-labels-idx1-ubyte', 1)
        # An image without its label does not count.
        parts[part] = [
            Labeled(f'images/{part}/{i:05}.png', int(label), f'{part}/{i:05}')
            for i, label in enumerate(labels[: len(images[part])])
        ]

    def save(origin: str, target: Path) -> None:
        part, index = origin.split('/')
        Image.fromarray(images[part][int(index)]).save(target)

    lay_out(task, 'fashion_mnist', CLASSES, parts, save)


def read_idx(root: Path, name: str, dimensions: int) -> np.ndarray:
    """The uint8 array of an IDX file, packed or not; an empty one without the file.

    Raises:
        ValueRefusal: If it is damaged.
    """
    empty = np.zeros((0, 28, 28)[:dimensions], np.uint8)
    path = next(
        (
            root / f'{name}{end}'
            for end in ('.gz', '')
            if (root / f'{name}{end}').is_file()
        ),
        None,
    )
    if path is None:
        return empty
    try:
        content = path.read_bytes()
        content = gzip.decompress(content) if path.suffix == '.gz' else content
    except (EOFError, OSError, zlib.error) as error:
        raise ValueRefusal(
            f"'{path}' is damaged or cut off ({error}). Download it again."
        ) from error
    # Two zeros, 8 for uint8, the number of dimensions, and each of them.
    header = 4 + 4 * dimensions
    shape = np.frombuffer(content[4:header], '>u4').astype(int)
    right = content[:4] == bytes((0, 0, 8, dimensions)) and len(shape) == dimensions
    if not right or len(content) - header != shape.prod():
        raise ValueRefusal(
            f"'{path}' is not a file of {dimensions} dimensions in the IDX format, or "
            f'it is cut off: it has {len(content)} bytes. Download it again.'
        )
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)
