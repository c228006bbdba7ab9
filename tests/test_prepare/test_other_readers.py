"""The invented downloads and what is prepared from them, as torchvision reads them.

torchvision's readers were written from the publishers' files. Where they take what the
tests invent, the layouts are the publishers' in what the readers use, and the order is
the one by which the authors' released lists count.
"""

import shutil
import tarfile
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable
from itertools import accumulate
from pathlib import Path

import numpy as np
import pytest
import raw_labeled
from PIL import Image
from torchvision import datasets

from bissl_mm.prepare import prepare
from bissl_mm.prepare.released import released_parts


def unpack(source: Path, target: Path) -> Path:
    """What a user has after unpacking all archives in a folder."""
    if source.is_file():
        shutil.unpack_archive(source, target)
    else:
        shutil.copytree(source, target)
    for path in sorted(target.rglob('*')):
        if path.name.endswith(('.tgz', '.tar.gz')):
            with tarfile.open(path) as file:
                file.extractall(path.parent, filter='data')
    return target


def pets(source: Path, root: Path) -> Callable:
    unpack(source, root / 'oxford-iiit-pet')
    names = dict(train='trainval', test='test')
    return lambda part: datasets.OxfordIIITPet(root, names[part])


def cars(source: Path, root: Path) -> Callable:
    unpack(source, root / 'stanford_cars')
    return lambda part: datasets.StanfordCars(root, part)


def caltech101(source: Path, root: Path) -> Callable:
    found = unpack(source, root / 'zip') / 'caltech-101'
    (found / 'Annotations').mkdir()
    found.rename(root / 'caltech101')
    return lambda part: datasets.Caltech101(root)


def food(source: Path, root: Path) -> Callable:
    unpack(source, root / 'food-101')
    return lambda part: datasets.Food101(root, part)


def aircrafts(source: Path, root: Path) -> Callable:
    unpack(source, root / 'all')
    return lambda part: datasets.FGVCAircraft(root / 'all', part)


def dtd(source: Path, root: Path) -> Callable:
    unpack(source, root / 'dtd/dtd')
    return lambda part: datasets.DTD(root, part, partition=1)


#: Reader, and arguments for few classes.
READERS = {
    'food': (food, dict(classes=5, train=9, test=2)),
    'cars': (cars, dict(classes=4, train=9, test=2)),
    'aircrafts': (aircrafts, dict(classes=4, each=2)),
    'dtd': (dtd, dict(classes=3, each=2)),
    'pets': (pets, dict(classes=4, train=9, test=2)),
    'caltech101': (caltech101, dict(classes=4, each=12)),
}


def pictures(pairs) -> list[tuple[bytes, int]]:
    """Pixels and label of each image, which tell nine pictures apart."""
    return [(np.asarray(image.convert('RGB')).tobytes(), n) for image, n in pairs]


def listed(folder: Path, part: str) -> list[tuple[str, int]]:
    lines = (folder / f'meta/{part}.txt').read_text().splitlines()
    return [(path, int(n)) for path, n in (line.rsplit(' ', 1) for line in lines)]


def opened(folder: Path, images: list[tuple[str, int]]) -> list[tuple[bytes, int]]:
    return pictures((Image.open(folder / path), label) for path, label in images)


@pytest.mark.parametrize('name', READERS)
def test_torchvision_reads_the_same_images_in_the_same_order(name, tmp_path):
    place, few = READERS[name]
    raw = raw_labeled.SETS[name](tmp_path / 'raw', **few)
    dataset = place(raw.source, tmp_path / 'other')
    prepare(
        name,
        raw.source,
        tmp_path / 'data',
        counts=raw.counts or None,
        allow_incomplete=True,
    )
    folder = tmp_path / 'data' / raw_labeled.FOLDERS.get(name, name)
    ours = {part: listed(folder, part) for part in ('train', 'val', 'test')}
    if 'images' not in raw.parts:
        assert opened(folder, ours['test']) == pictures(dataset('test'))
    if 'val' in raw.parts:
        assert opened(folder, ours['train']) == pictures(dataset('train'))
        assert opened(folder, ours['val']) == pictures(dataset('val'))
        return
    # Parts are set aside from the publisher's training part, or from all images.
    first = 'images' if 'images' in raw.parts else 'train'
    drawn = list(ours) if first == 'images' else ['train', 'val']
    order = {path: i for i, path in enumerate(raw.parts[first])}
    whole = sorted(sum((ours[p] for p in drawn), []), key=lambda pair: order[pair[0]])
    assert opened(folder, whole) == pictures(dataset(first))
    for part in drawn:
        places = [order[path] for path, _ in ours[part]]
        assert places == sorted(places)


#: Images in the classes of Caltech-101, capital letters first: Faces, Faces_easy,
#: Leopards, Motorbikes, accordion, airplanes, and so on.
CALTECH = [
    *(435, 435, 200, 798, 55, 800, 42, 42, 47, 54, 46, 33, 128, 98, 43, 85, 91, 50),
    *(43, 123, 47, 59, 62, 107, 47, 69, 73, 70, 50, 51, 57, 67, 52, 65, 68, 75, 64),
    *(53, 64, 85, 67, 67, 45, 34, 34, 51, 99, 100, 42, 54, 88, 80, 31, 64, 86, 114),
    *(61, 81, 78, 41, 66, 43, 40, 87, 32, 76, 55, 35, 39, 47, 38, 45, 53, 34, 57),
    *(82, 59, 49, 40, 63, 39, 84, 57, 35, 64, 45, 86, 59, 64, 35, 85, 49, 86, 75),
    *(239, 37, 59, 34, 56, 39, 60),
]


@pytest.mark.parametrize(
    'name, sizes, training, validation',
    [
        ('caltech101', CALTECH, 24, 6),
        ('food', [750] * 101, 600, 150),
        ('sun397', [50] * 397, 40, 10),
    ],
)
def test_released_lists_have_a_fifth_of_each_class(name, sizes, training, validation):
    """So they count in the order that the preparation writes, class after class.

    With the classes of Caltech-101 in another order, lower case first for example,
    the numbers of the classes would differ.
    """
    parts = released_parts(name)
    ends = list(accumulate(sizes, initial=0))
    assert ends[-1] == sum(len(positions) for positions in parts.values())
    for part, number in (('train', training), ('val', validation)):
        before = [bisect_left(parts[part], end) for end in ends]
        found = Counter(b - a for a, b in zip(before, before[1:], strict=False))
        assert found == {number: len(sizes)}
