"""CIFAR-10: unlabeled images, and a small labeled set.

The publisher has a training and a test split and no validation split. For each
class, training and validation images are drawn from the training split. The
unlabeled images are drawn from the rest of it, equally many per class. Test
images come from the test split. So no file is in two of the four sets. Some
images of CIFAR-10 nearly repeat each other; they stay as published.
"""

import pickle
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from ..utils.errors import ValueRefusal
from .registry import register
from .task import Task

TRAIN = tuple(f'data_batch_{i}' for i in range(1, 6))
SIDE = 32


class Batch(NamedTuple):
    """One file of the archive."""

    #: ``(N, 32, 32, 3)`` uint8, RGB.
    images: np.ndarray
    #: ``(N, )``, indices of class names.
    labels: np.ndarray


@register(
    'cifar10',
    folders=('cifar10_unlabeled', 'cifar10_labeled'),
    download='cifar-10-python.tar.gz or cifar-10-binary.tar.gz, from the '
    'CIFAR-10 page of Alex Krizhevsky',
    markers=(('batches.meta',), ('batches.meta.txt',)),
    expected=dict(train=50000, test=10000),
    drawn=dict(
        unlabeled=10000, train_per_class=100, val_per_class=50, test_per_class=200
    ),
)
def prepare_cifar10(root: Path, task: Task) -> None:
    """Write ``cifar10_unlabeled/images`` and ``cifar10_labeled``."""
    batches, names = read_batches(root)
    by_class: dict[tuple[str, int], list[str]] = {}
    for batch, (_, labels) in batches.items():
        part = 'train' if batch in TRAIN else 'test'
        for i, label in enumerate(labels):
            by_class.setdefault((part, int(label)), []).append(f'{batch}/{i:05}')
    task.check(
        {
            part: sum(len(keys) for (p, _), keys in by_class.items() if p == part)
            for part in task.expected
        }
    )
    if task.counts['unlabeled'] % len(names):
        raise ValueRefusal(
            f'cifar10: unlabeled={task.counts["unlabeled"]} cannot be divided '
            f'evenly among {len(names)} classes. Choose a multiple of '
            f'{len(names)}.'
        )
    rest = _write_labeled(task, batches, names, by_class)
    split = task.split('cifar10_unlabeled', 'images')
    # Draw all of them once more, so that the names mix the classes.
    for i, key in enumerate(task.draw(rest, len(rest), 'unlabeled images')):
        save(batches, key, split.place(f'images/{i:05}.png', key))


def _write_labeled(
    task: Task,
    batches: dict[str, Batch],
    names: list[str],
    by_class: dict[tuple[str, int], list[str]],
) -> list[str]:
    """Write ``cifar10_labeled``; returns the images of the unlabeled set."""
    splits = {
        part: task.split('cifar10_labeled', part) for part in ('train', 'val', 'test')
    }
    rest = []
    number = {part: task.counts[f'{part}_per_class'] for part in splits}
    labeled = number['train'] + number['val']
    unlabeled = task.counts['unlabeled']
    for label, name in enumerate(names):
        drawn = task.draw(
            by_class.get(('train', label), []),
            labeled + unlabeled // len(names),
            f'training images of class {name}',
        )
        rest += drawn[labeled:]
        chosen = dict(
            train=drawn[: number['train']],
            val=drawn[number['train'] : labeled],
            test=task.draw(
                by_class.get(('test', label), []),
                number['test'],
                f'test images of class {name}',
            ),
        )
        for part, keys in chosen.items():
            for key in keys:
                path = splits[part].place(
                    f'{part}/{name}/{key.replace("/", "_")}.png', key
                )
                save(batches, key, path)
            splits[part].remark = f'{len(names)} classes'
    return rest


def save(batches: dict[str, Batch], key: str, path: Path) -> None:
    batch, index = key.split('/')
    Image.fromarray(batches[batch].images[int(index)]).save(path)


def read_batches(root: Path) -> tuple[dict[str, Batch], list[str]]:
    """All batches that the source has, and the names of the classes.

    Raises:
        ValueRefusal: If a file does not have the publisher's form.
    """
    binary = (root / 'batches.meta.txt').exists()
    if binary:
        names = (root / 'batches.meta.txt').read_text().split()
    else:
        names = [
            name.decode() for name in unpickle(root / 'batches.meta', b'label_names')[0]
        ]
    batches = {}
    for batch in (*TRAIN, 'test_batch'):
        path = root / (batch + '.bin' * binary)
        if not path.exists():
            continue
        data, labels = (
            read_binary(path) if binary else unpickle(path, b'data', b'labels')
        )
        data, labels = np.asarray(data), np.asarray(labels)
        if (
            data.dtype != np.uint8
            or data.shape != (len(labels), 3 * SIDE**2)
            or not all(0 <= i < len(names) for i in labels)
        ):
            raise ValueRefusal(
                f"'{path}' does not have the publisher's form: it has "
                f'{data.shape} {data.dtype} values and '
                f'{len(labels)} labels. Download it again.'
            )
        images = data.reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1)
        batches[batch] = Batch(images, labels)
    return batches, names


def read_binary(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Images and labels of a binary file.

    A row has one byte for the label and 3072 bytes for red, green and blue.
    """
    rows = np.fromfile(path, np.uint8)
    if rows.size % (1 + 3 * SIDE**2):
        raise ValueRefusal(
            f"'{path}' is cut off: its size of {rows.size} bytes is not a "
            'multiple of 3073. Download it again.'
        )
    rows = rows.reshape(-1, 1 + 3 * SIDE**2)
    return rows[:, 1:], rows[:, 0]


class ArrayUnpickler(pickle.Unpickler):
    """Reads dictionaries, lists, texts, numbers and arrays; calls nothing else.

    A pickle can have any function of Python called. This class allows the
    three names that NumPy's arrays need.
    """

    ALLOWED = {
        '_reconstruct': np.zeros(1).__reduce__()[0],
        'ndarray': np.ndarray,
        'dtype': np.dtype,
    }

    def find_class(self, module: str, name: str) -> Any:
        if module.split('.')[0] == 'numpy' and name in self.ALLOWED:
            return self.ALLOWED[name]
        raise ValueRefusal(f'it asks for {module}.{name}')


def unpickle(path: Path, *keys: bytes) -> list[Any]:
    """Entries of a pickled dictionary, read without running its code."""
    try:
        with open(path, 'rb') as file:
            content = ArrayUnpickler(file, encoding='bytes').load()
        return [content[key] for key in keys]
    except (
        pickle.UnpicklingError,
        EOFError,
        IsADirectoryError,
        KeyError,
        IndexError,
        TypeError,
        ValueError,
        AttributeError,
    ) as error:
        raise ValueRefusal(
            f"'{path}' is not a file of CIFAR, or it is cut off ({error}). "
            'Download it again.'
        ) from error
