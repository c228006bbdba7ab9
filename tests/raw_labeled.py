"""Small downloads of the labeled sets, in the forms in which publishers offer them.

Each function writes one below a folder and returns what ``prepare_dataset.py``
starts from, with the truth about it. By default there are all classes, so that the
configs run on what is prepared::

    python tests/raw_labeled.py dtd flowers FOLDER

prepares them in ``FOLDER/data``.
"""

import gzip
import json
import shutil
import sys
import tarfile
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import raw_downloads as raw
from layout_parts import VOC, encoded, write_lines
from scipy.io import savemat

from bissl_mm.prepare import prepare


class Raw(NamedTuple):
    """A download, and what should become of it."""

    source: Path
    #: Names of the classes in order.
    classes: list[str]
    #: Path in the prepared folder -> number of the class.
    labels: dict[str, int]
    #: The publisher's parts: such paths, in its order.
    parts: dict[str, list[str]]
    #: Path in the prepared folder -> bytes of the file; empty if pixels are stored.
    files: dict[str, bytes] = {}
    #: Numbers to draw, where the set is too small for those of the paper.
    counts: dict[str, int] = {}


@cache
def pool() -> list[bytes]:
    """Nine pictures."""
    rng = np.random.default_rng(0)
    return [encoded(rng) for _ in range(9)]


class Writer:
    """Collects the images of a set while it writes them."""

    def __init__(self, root: Path, classes: list[str]) -> None:
        self.root = root
        self.classes = classes
        self.raw = Raw(root, classes, {}, {}, {})

    def add(self, part: str, label: int, file: str, path: str) -> None:
        """Write an image to ``file`` that is prepared as ``path``."""
        number = len(self.raw.labels)
        content = pool()[number % 9] + number.to_bytes(4, 'big')
        target = self.root / file
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        self.raw.labels[path] = label
        self.raw.files[path] = content
        self.raw.parts.setdefault(part, []).append(path)


def numbers(parts: dict[str, int], classes: int):
    """Part, label and number of each image, the labels in turn."""
    for part, each in parts.items():
        for i in range(each):
            for label in range(classes):
                yield part, label, i


def archive(path: Path, folder: Path, *names: str) -> None:
    """Pack the named entries of a folder, and remove them there."""
    with tarfile.open(path, 'w:gz') as file:
        for name in names:
            file.add(folder / name, name)
    for name in names:
        target = folder / name
        shutil.rmtree(target) if target.is_dir() else target.unlink()


def food(root: Path, classes: int = 101, train: int = 5, test: int = 2) -> Raw:
    """Like Python 2, the authors' JSON does not sort the classes."""
    writer = Writer(root / 'food-101', [f'dish_{i:03}' for i in range(classes)])
    listed = {'train': {}, 'test': {}}
    order = np.random.default_rng(1).permutation(classes)
    for part, each in (('train', train), ('test', test)):
        for label in map(int, order):
            name = writer.classes[label]
            for i in range(each):
                stem = f'{name}/{1000 * (part == "test") + 7 * i}'
                listed[part].setdefault(name, []).append(stem)
                file = f'images/{stem}.jpg'
                writer.add(part, label, file, file)
        path = writer.root / f'meta/{part}.json'
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(listed[part]))
    write_lines(writer.root / 'meta/classes.txt', writer.classes)
    return writer.raw


def cifar10_full(root: Path, per_batch: int = 30, binary: bool = False) -> Raw:
    batches = raw.cifar10_batches(per_batch)
    folder = raw.cifar10_folder(root, batches, binary)
    labels, parts = {}, {'train': [], 'test': []}
    for name, (_, found) in batches.items():
        part = 'test' if name == 'test_batch' else 'train'
        for i, label in enumerate(found):
            path = f'images/{part}/{name}_{i:05}.png'
            labels[path] = label
            parts[part].append(path)
    return Raw(folder, list(raw.CIFAR10), labels, parts)


def cifar100(
    root: Path, classes: int = 100, train: int = 5, test: int = 2, binary: bool = False
) -> Raw:
    """Coarse labels beside the fine ones; ``data`` has a row of 3072 values."""
    rng = np.random.default_rng(0)
    folder = root / f'cifar-100-{"binary" if binary else "python"}'
    folder.mkdir(parents=True)
    names, labels, parts = [f'fine_{i}' for i in range(classes)], {}, {}
    if binary:
        write_lines(folder / 'fine_label_names.txt', [*names, ''])
    else:
        raw.dump(
            folder / 'meta', dict(fine_label_names=[name.encode() for name in names])
        )
    for part, each in (('train', train), ('test', test)):
        data = rng.integers(0, 256, (classes * each, 3072)).astype(np.uint8)
        fine = [int(i) for i in rng.permutation(classes * each) % classes]
        coarse = [i // 5 for i in fine]
        if binary:
            columns = [np.array(column, np.uint8) for column in (coarse, fine)]
            np.column_stack([*columns, data]).tofile(folder / f'{part}.bin')
        else:
            content = dict(data=data, fine_labels=fine, coarse_labels=coarse)
            raw.dump(folder / part, content)
        parts[part] = [f'images/{part}/{i:05}.png' for i in range(len(fine))]
        labels.update(zip(parts[part], fine, strict=True))
    return Raw(folder, names, labels, parts)


def cub200(root: Path, classes: int = 200, train: int = 5, test: int = 2) -> Raw:
    """The images are sorted by class; a list says which ones are for training."""
    writer = Writer(
        root / 'CUB_200_2011', [f'{i:03}.Bird_{i}' for i in range(1, classes + 1)]
    )
    images, labels, training = [], [], []
    for label, name in enumerate(writer.classes):
        for i in range(train + test):
            # The two parts alternate.
            part = 'test' if i % 3 == 0 and i // 3 < test else 'train'
            file = f'{name}/Bird_{label}_{i:04}.jpg'
            writer.add(part, label, f'images/{file}', f'images/{file}')
            number = len(images) + 1
            images.append(f'{number} {file}')
            labels.append(f'{number} {label + 1}')
            training.append(f'{number} {int(part == "train")}')
    for name, lines in (
        ('images', images),
        ('image_class_labels', labels),
        ('train_test_split', training),
        ('classes', [f'{i} {name}' for i, name in enumerate(writer.classes, 1)]),
    ):
        write_lines(writer.root / f'{name}.txt', lines)
    return writer.raw


def sun397(root: Path, classes: int = 397, train: int = 5, test: int = 2) -> Raw:
    """Two archives; some scenes have a folder of their own within another."""
    names = [
        f'{"abc"[i % 3]}/scene_{i}' + '/outdoor' * (i % 4 == 0) for i in range(classes)
    ]
    writer = Writer(root, [name[2:] for name in names])
    lists = {'train': [], 'test': []}
    for part, label, i in numbers(dict(train=train, test=test), classes):
        line = f'/{names[label]}/sun_{part}{i}.jpg'
        lists[part].append(line)
        writer.add(part, label, f'SUN397{line}', f'images{line}')
    write_lines(root / 'p/ClassName.txt', [f'/{name}' for name in names])
    write_lines(root / 'p/Training_01.txt', lists['train'])
    write_lines(root / 'p/Testing_01.txt', lists['test'])
    # Another split, which is not read.
    write_lines(root / 'p/Training_02.txt', lists['test'])
    shutil.make_archive(str(root / 'Partitions'), 'zip', root / 'p')
    shutil.rmtree(root / 'p')
    archive(root / 'SUN397.tar.gz', root, 'SUN397')
    return writer.raw


def struct(**fields: list) -> np.ndarray:
    """A MATLAB struct array with these values."""
    (number,) = {len(values) for values in fields.values()}
    found = np.zeros((1, number), [(name, object) for name in fields])
    for name, values in fields.items():
        for i, value in enumerate(values):
            found[name][0, i] = value
    return found


def cars(root: Path, classes: int = 196, train: int = 5, test: int = 2) -> Raw:
    """Three archives and the labels of the test images, which the devkit lacks."""
    writer = Writer(root, [f'Maker Model {i} 2012' for i in range(classes)])
    found = {'train': ([], []), 'test': ([], [])}
    for part, label, _ in numbers(dict(train=train, test=test), classes):
        names, labels = found[part]
        names.append(f'{len(names) + 1:05}.jpg')
        labels.append(label + 1)
        path = f'images/{part}/{names[-1]}'
        writer.add(part, label, f'cars_{part}/{names[-1]}', path)
    (root / 'devkit').mkdir()
    names = np.array([writer.classes], object)
    savemat(root / 'devkit/cars_meta.mat', dict(class_names=names))
    for part, place in (
        ('train', 'devkit/cars_train_annos.mat'),
        ('test', 'cars_test_annos_withlabels.mat'),
    ):
        names, labels = found[part]
        content = struct(bbox_x1=labels, **{'class': labels}, fname=names)
        savemat(root / place, dict(annotations=content))
    content = struct(bbox_x1=found['test'][1], fname=found['test'][0])
    savemat(root / 'devkit/cars_test_annos.mat', dict(annotations=content))
    for name, entry in (
        ('cars_train', 'cars_train'),
        ('cars_test', 'cars_test'),
        ('car_devkit', 'devkit'),
    ):
        archive(root / f'{name}.tgz', root, entry)
    return writer.raw


def aircrafts(root: Path, classes: int = 100, each: int = 4) -> Raw:
    """Variants are sorted by name; some names have blanks and slashes."""
    names = sorted(
        f'{("707-", "Boeing 737-", "F/A-")[i % 3]}{i}' for i in range(classes)
    )
    folder = root / 'fgvc-aircraft-2013b/data'
    writer = Writer(folder, names)
    lists: dict[str, list[str]] = {}
    for part, label, i in numbers(dict(train=each, val=each, test=each), classes):
        stem = f'{len(writer.raw.labels):07}'
        writer.add(part, label, f'images/{stem}.jpg', f'images/{stem}.jpg')
        lists.setdefault(part, []).append(f'{stem} {names[label]}')
    write_lines(folder / 'variants.txt', names)
    for part, lines in lists.items():
        write_lines(folder / f'images_variant_{part}.txt', lines)
    return writer.raw._replace(source=root)


def dtd(root: Path, classes: int = 47, each: int = 4) -> Raw:
    """The second of the ten splits differs from the first."""
    writer = Writer(root / 'dtd', [f'texture{i:02}' for i in range(classes)])
    lines: dict[str, list[str]] = {}
    for part, label, i in numbers(dict(train=each, val=each, test=each), classes):
        name = writer.classes[label]
        line = f'{name}/{name}_{"tv"[part == "val"]}{part[1]}{i:04}.jpg'
        writer.add(part, label, f'images/{line}', f'images/{line}')
        lines.setdefault(part, []).append(line)
    for part, other in (('train', 'val'), ('val', 'test'), ('test', 'train')):
        write_lines(writer.root / f'labels/{part}1.txt', lines[part])
        write_lines(writer.root / f'labels/{part}2.txt', lines[other])
    return writer.raw


def pets(root: Path, classes: int = 37, train: int = 5, test: int = 2) -> Raw:
    """Two archives; lines have the image, class, species and breed."""
    names = [('Cat', 'big_dog')[i % 2] + f'_of_{i}' for i in range(classes)]
    writer = Writer(root, names)
    lines = {'train': [], 'test': []}
    for part, label, i in numbers(dict(train=train, test=test), classes):
        stem = f'{names[label]}_{100 * (part == "test") + i}'
        writer.add(part, label, f'images/{stem}.jpg', f'images/{stem}.jpg')
        lines[part].append(f'{stem} {label + 1} {label % 2 + 1} {label // 2 + 1}')
    write_lines(root / 'annotations/trainval.txt', lines['train'])
    write_lines(root / 'annotations/test.txt', lines['test'])
    archive(root / 'images.tar.gz', root, 'images')
    archive(root / 'annotations.tar.gz', root, 'annotations')
    return writer.raw


def caltech101(root: Path, classes: int = 101, each: int = 7) -> Raw:
    """A zip with an archive in it; capital letters come first."""
    names = sorted(('Faces', 'chair')[i % 2] + f'_{i}' for i in range(classes))
    writer = Writer(root, names)
    folder = '101_ObjectCategories'
    for label, name in enumerate(names):
        for i in range(each):
            file = f'{name}/image_{i + 1:04}.jpg'
            writer.add('images', label, f'{folder}/{file}', f'images/{file}')
    other = root / folder / 'BACKGROUND_Google/image_0001.jpg'
    other.parent.mkdir()
    other.write_bytes(pool()[0])
    (root / 'zip/caltech-101').mkdir(parents=True)
    archive(root / f'zip/caltech-101/{folder}.tar.gz', root, folder)
    shutil.make_archive(str(root / 'caltech-101'), 'zip', root / 'zip')
    shutil.rmtree(root / 'zip')
    counts = dict(train_per_class=5)
    return writer.raw._replace(source=root / 'caltech-101.zip', counts=counts)


def flowers(root: Path, classes: int = 102, each: int = 4) -> Raw:
    """An archive of numbered images and two MATLAB files."""
    writer = Writer(root, [str(i + 1) for i in range(classes)])
    ids = {'train': [], 'val': [], 'test': []}
    labels = []
    for part, label, _ in numbers(dict(test=each, train=each, val=each), classes):
        labels.append(label + 1)
        ids[part].append(len(labels))
        file = f'image_{len(labels):05}.jpg'
        writer.add(part, label, f'jpg/{file}', f'images/{file}')
    archive(root / '102flowers.tgz', root, 'jpg')
    savemat(root / 'imagelabels.mat', dict(labels=np.array([labels], np.uint8)))
    keys = dict(trnid='train', valid='val', tstid='test')
    content = {key: np.array([ids[part]], np.uint16) for key, part in keys.items()}
    savemat(root / 'setid.mat', content)
    return writer.raw


def fashion_mnist(root: Path, train: int = 50, test: int = 20) -> Raw:
    """Four files in the IDX format; the red value of an image is its number."""
    labels, parts = {}, {}
    for part, start, number in (('train', 'train', train), ('test', 't10k', test)):
        found = np.random.default_rng(0).permutation(number) % 10
        pixels = np.zeros((number, 28, 28), np.uint8) + np.arange(number)[:, None, None]
        for kind, array in (('images', pixels), ('labels', found)):
            name = f'{start}-{kind}-idx{array.ndim}-ubyte.gz'
            header = bytes((0, 0, 8, array.ndim)) + b''.join(
                size.to_bytes(4, 'big') for size in array.shape
            )
            root.mkdir(parents=True, exist_ok=True)
            content = header + array.astype(np.uint8).tobytes()
            (root / name).write_bytes(gzip.compress(content))
        parts[part] = [f'images/{part}/{i:05}.png' for i in range(number)]
        labels.update(zip(parts[part], map(int, found), strict=True))
    classes = ['T-shirt/top', 'Trouser', 'Pullover', 'Dress', 'Coat', 'Sandal']
    classes += ['Shirt', 'Sneaker', 'Bag', 'Ankle boot']
    return Raw(root, classes, labels, parts)


def stl10(root: Path, unlabeled: int = 40, train: int = 50, test: int = 20) -> Raw:
    numbers = dict(unlabeled=unlabeled, train=train, test=test)
    folder = raw.stl10_folder(root, numbers)
    parts = {
        part: [f'{part}/class{i % 10}/{i:06}.png' for i in range(number)]
        for part, number in (('train', train), ('test', test))
    }
    labels = {path: int(path[-5]) for paths in parts.values() for path in paths}
    return Raw(folder, list(raw.STL10), labels, parts)


def imagenet(root: Path, classes: int = 1000, train: int = 5, test: int = 1) -> Raw:
    """Folders of classes, and lists of one and of three images of each."""
    writer = Writer(root, [f'n{1440764 + 11 * i:08}' for i in range(classes)])
    for part, label, i in numbers(dict(train=train, test=test), classes):
        name = writer.classes[label]
        file = f'{name}_{i}.JPEG' if part == 'train' else f'val_{label}_{i}.JPEG'
        file = f'{"train" if part == "train" else "val"}/{name}/{file}'
        writer.add(part, label, file, file)
    for name, each in (('1percent', 1), ('10percent', 3)):
        # In an order of its own, as theirs.
        lines = [f'{name}_{i}.JPEG' for i in range(each) for name in writer.classes]
        write_lines(root / f'{name}.txt', lines[::-1])
    return writer.raw


#: Objects of an image, by turns: the class and whether it is difficult.
OBJECTS = (
    [('person', 0), ('dog', 1)],
    [('person', 1), ('person', 0)],
    [('dog', 1), ('dog', 1), ('cat', 0)],
    [('{}', 0)],
)


def voc07(root: Path, train: int = 20, val: int = 8, test: int = 8) -> Raw:
    """Two archives. ``labels`` are lists: all classes, and those that are difficult."""
    writer = Writer(root, VOC)
    folder = 'VOCdevkit/VOC2007'
    stems: dict[str, list[str]] = {}
    for part, number in (('train', train), ('val', val), ('test', test)):
        for i in range(number):
            stem = f'{len(writer.raw.labels) + 1:06}'
            stems.setdefault(part, []).append(stem)
            objects = [
                (name.format(VOC[i % 20]), hard) for name, hard in OBJECTS[i % 4]
            ]
            every = {VOC.index(name) for name, _ in objects}
            clear = {VOC.index(name) for name, hard in objects if not hard}
            found = [sorted(every), sorted(every - clear)]
            path = f'images/{stem}.jpg'
            writer.add(part, found, f'{folder}/JPEGImages/{stem}.jpg', path)
            write_lines(
                root / folder / f'Annotations/{stem}.xml',
                [
                    '<annotation>',
                    *(
                        f'<object><name>{name}</name><difficult>{hard}</difficult>'
                        '</object>'
                        for name, hard in objects
                    ),
                    '</annotation>',
                ],
            )
    for name, parts in (('trainval', ('train', 'val')), ('test', ('test',))):
        for part in parts:
            write_lines(
                root / folder / f'ImageSets/Main/{part}.txt', stems.get(part, [])
            )
        with tarfile.open(root / f'VOC{name}_06-Nov-2007.tar', 'w') as file:
            file.add(root / f'{folder}/ImageSets', f'{folder}/ImageSets')
            for stem in (stem for part in parts for stem in stems[part]):
                for entry in (f'JPEGImages/{stem}.jpg', f'Annotations/{stem}.xml'):
                    file.add(root / folder / entry, f'{folder}/{entry}')
        shutil.rmtree(root / folder / 'ImageSets')
    shutil.rmtree(root / 'VOCdevkit')
    return writer.raw


#: Name of the data set -> the function that writes a download of it.
SETS: dict[str, Callable[..., Raw]] = {
    'food': food,
    'cifar10-full': cifar10_full,
    'cifar100': cifar100,
    'cub200': cub200,
    'sun397': sun397,
    'cars': cars,
    'aircrafts': aircrafts,
    'dtd': dtd,
    'pets': pets,
    'caltech101': caltech101,
    'flowers': flowers,
    'fashion_mnist': fashion_mnist,
    'stl10': stl10,
}


#: Where the prepared folder has another name.
FOLDERS = {'cifar10-full': 'cifar10'}


def write_prepared(name: str, data: Path) -> None:
    """Prepare a small download of a data set in a folder, as the configs read it."""
    with tempfile.TemporaryDirectory() as scratch:
        write = voc07 if name == 'voc07' else SETS[name]
        found = write(Path(scratch) / name)
        prepare(
            name, found.source, data, counts=found.counts or None, allow_incomplete=True
        )


if __name__ == '__main__':
    for each in sys.argv[1:-1]:
        write_prepared(each, Path(sys.argv[-1]) / 'data')
