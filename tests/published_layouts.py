"""Writes small folder trees in the layouts of the data sets' publishers.

Tests, and people who try a config, get a few generated pictures per class with
the names, suffixes and annotation formats of the real set::

    python tests/published_layouts.py imagenet pets FOLDER

writes ``FOLDER/data/imagenet`` and ``FOLDER/data/pets``. Then run
the tools in FOLDER. ``all`` writes every set. To add a data set, write a function
of the folder and a random generator, and add it to ``LAYOUTS``.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from shutil import copy
from typing import NamedTuple

import numpy as np
import raw_labeled
from glue_folder import write_books, write_glue
from layout_parts import (
    VOC,
    any_size,
    class_folders,
    coco_json,
    encoded,
    mask,
    picture,
    regions,
    voc_xml,
    write_lines,
)
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
#: Cityscapes' labelTrainIds of labelIds 0 to 33; 255 is not evaluated.
TRAIN_IDS = np.full(256, 255, np.uint8)
TRAIN_IDS[
    [7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33]
] = range(19)


def imagenet(root: Path, rng: np.random.Generator) -> None:
    """1000 folders; some files with the suffix JPEG are grey, CMYK or PNG."""
    files = [encoded(rng) for _ in range(5)]
    files += [encoded(rng, 'L'), encoded(rng, 'CMYK'), encoded(rng, kind='PNG')]
    for i in range(1000):
        wnid = f'n{1440764 + 11 * i:08}'
        for folder, name in (
            ('train', f'{wnid}_{10 + i}.JPEG'),
            ('val', f'ILSVRC2012_val_{1 + i:08}.JPEG'),
        ):
            path = root / folder / wnid / name
            path.parent.mkdir(parents=True)
            path.write_bytes(files[i % len(files)])


def voc_year(root: Path, rng: np.random.Generator, year: int, **parts: int) -> None:
    """One year of the VOCdevkit; 2012 has SBD's masks in mmseg's layout.

    Half of a split has masks. SBD's ``aug`` is the other half of training.
    """
    palette = rng.integers(0, 256, 768).astype(np.uint8).tobytes()
    kinds = ['JPEGImages', 'Annotations', 'SegmentationClass']
    kinds += ['SegmentationClassAug'] if year == 2012 else []
    for kind in kinds:
        (root / kind).mkdir(parents=True)
    lists, first = {}, 1
    for part, number in parts.items():
        names = [
            f'{i:06}' if year == 2007 else f'2008_{i:06}'
            for i in range(first, first + number)
        ]
        first += number
        lists['Main', part] = names
        lists['Segmentation', part] = names[::2]
        for name in names:
            size = any_size(rng)
            boxes = regions(rng, size, VOC)
            picture(rng, size).save(root / f'JPEGImages/{name}.jpg')
            voc_xml(root / f'Annotations/{name}.xml', year, size, boxes)
            if name in names[::2]:
                ids = Image.fromarray(mask(size, boxes, VOC, True), 'P')
                ids.putpalette(palette)
                ids.save(root / f'SegmentationClass/{name}.png')
            if year == 2012:
                Image.fromarray(mask(size, boxes, VOC, False)).save(
                    root / f'SegmentationClassAug/{name}.png'
                )
    for task in ('Main', 'Segmentation'):
        lists[task, 'trainval'] = sorted(lists[task, 'train'] + lists[task, 'val'])
    if year == 2012:
        lists['Segmentation', 'aug'] = lists['Main', 'train'][1::2]
        lists['Segmentation', 'trainaug'] = lists['Main', 'train']
    for (task, part), names in lists.items():
        write_lines(root / 'ImageSets' / task / f'{part}.txt', names)


def voc(root: Path, rng: np.random.Generator) -> None:
    """Both years; VOC2012 lists masks of VOC2007 again, as ``2007_*``."""
    voc_year(root / 'VOC2007', rng, 2007, train=6, val=6, test=4)
    voc_year(root / 'VOC2012', rng, 2012, train=12, val=6)
    # Two images of each of train, val and test: one goes to train, one to val.
    for i, name in enumerate(
        ('000001', '000003', '000007', '000009', '000013', '000015')
    ):
        for kind, suffix in (
            ('JPEGImages', 'jpg'),
            ('Annotations', 'xml'),
            ('SegmentationClass', 'png'),
        ):
            copy(
                root / f'VOC2007/{kind}/{name}.{suffix}',
                root / f'VOC2012/{kind}/2007_{name}.{suffix}',
            )
        for part in (('train', 'val')[i % 2], 'trainval'):
            path = root / f'VOC2012/ImageSets/Segmentation/{part}.txt'
            write_lines(path, [f'2007_{name}', *path.read_text().split()])


def cityscapes(root: Path, rng: np.random.Generator) -> None:
    """Folders of cities; all images have one size."""
    for part, cities in dict(
        train=('aachen', 'bochum'), val=('frankfurt', 'lindau')
    ).items():
        for city in cities:
            for kind in ('leftImg8bit', 'gtFine'):
                (root / kind / part / city).mkdir(parents=True)
            for i in range(5):
                stem = f'{part}/{city}/{city}_000000_{i:06}'
                picture(rng, (64, 32)).save(
                    root / f'leftImg8bit/{stem}_leftImg8bit.png'
                )
                ids = np.kron(rng.integers(0, 34, (4, 8)), np.ones((8, 8))).astype(
                    np.uint8
                )
                for name, labels in (
                    ('labelIds', ids),
                    ('labelTrainIds', TRAIN_IDS[ids]),
                ):
                    Image.fromarray(labels).save(
                        root / f'gtFine/{stem}_gtFine_{name}.png'
                    )


def cifar10_unlabeled(root: Path, rng: np.random.Generator) -> None:
    (root / 'images').mkdir(parents=True)
    for i in range(8):
        picture(rng, (32, 32)).save(root / f'images/{i:05}.png')


def cifar10_labeled(root: Path, rng: np.random.Generator) -> None:
    class_folders(
        root, rng, CIFAR10, 'data_batch_1_{i}.png', (32, 32), train=2, val=1, test=1
    )


def dtd5(root: Path, rng: np.random.Generator) -> None:
    class_folders(
        root,
        rng,
        ('banded', 'bubbly', 'chequered', 'cobwebbed', 'cracked'),
        '{kind}_{i:04}.jpg',
        train=4,
        val=1,
        test=1,
    )


def bccd_voc(root: Path, rng: np.random.Generator) -> None:
    classes = ('RBC', 'WBC', 'Platelets')
    (root / 'JPEGImages').mkdir(parents=True)
    for part, number in dict(train=4, val=2, test=2).items():
        names = [f'BloodImage_{part}{i:05}.jpg' for i in range(number)]
        boxes = [regions(rng, (80, 60), classes) for _ in names]
        for name in names:
            picture(rng, (80, 60)).save(root / 'JPEGImages' / name)
        coco_json(
            root / f'annotations_coco/instances_{part}.json',
            names,
            [(80, 60)] * number,
            boxes,
            classes,
        )


def camvid(root: Path, rng: np.random.Generator) -> None:
    for part, number in dict(train=4, val=2, test=2).items():
        for kind in ('img_dir', 'ann_dir'):
            (root / kind / part).mkdir(parents=True)
        for i in range(number):
            stem = f'{part}/0001TP_{i:06}'
            ids = rng.integers(0, 12, (4, 4)).astype(np.uint8)
            ids[ids == 11] = 255
            picture(rng, (48, 36)).save(root / f'img_dir/{stem}.jpg')
            Image.fromarray(ids).resize((48, 36), Image.NEAREST).save(
                root / f'ann_dir/{stem}.png'
            )


def pretext_folder(root: Path, rng: np.random.Generator) -> None:
    """Arbitrary images in subfolders and several formats."""
    for i in range(8):
        path = root / f'day{i % 2}/{i}.{("jpg", "png")[i // 2 % 2]}'
        path.parent.mkdir(parents=True, exist_ok=True)
        picture(rng, any_size(rng), ('RGB', 'L')[i == 5]).save(path)


def downstream_folder(root: Path, rng: np.random.Generator) -> None:
    class_folders(root, rng, ('ape', 'bee', 'cow'), '{i}.png', train=6, val=2, test=2)


def downstream_coco(root: Path, rng: np.random.Generator) -> None:
    classes = ('ape', 'bee', 'cow')
    write_lines(root / 'classes.txt', classes)
    for part, number in dict(train=4, val=2, test=2).items():
        (root / part).mkdir()
        names, sizes = [f'{i}.jpg' for i in range(number)], []
        for name in names:
            image = picture(rng, any_size(rng))
            image.save(root / part / name)
            sizes.append(image.size)
        coco_json(
            root / f'annotations/instances_{part}.json',
            names,
            sizes,
            [regions(rng, size, classes) for size in sizes],
            classes,
        )


def downstream_masks(root: Path, rng: np.random.Generator) -> None:
    for part, number in dict(train=4, val=2, test=2).items():
        for kind in ('img_dir', 'ann_dir'):
            (root / kind / part).mkdir(parents=True)
        for i in range(number):
            image = picture(rng, any_size(rng))
            image.save(root / f'img_dir/{part}/{i}.jpg')
            ids = rng.integers(0, 4, (4, 4)).astype(np.uint8)
            ids[ids == 3] = 255
            Image.fromarray(ids).resize(image.size, Image.NEAREST).save(
                root / f'ann_dir/{part}/{i}.png'
            )


def prepared(name: str) -> Callable[[Path, np.random.Generator], None]:
    """The function that prepares a small download of a labeled set."""

    def write(root: Path, rng: np.random.Generator) -> None:
        # The preparation makes the folder.
        root.rmdir()
        raw_labeled.write_prepared(name, root.parent)

    return write


def imagenet_shares(root: Path, rng: np.random.Generator) -> None:
    """The lists of 1, 10 and 100% of ImageNet's labels, with ten images of nine
    classes more, since a fifth of a class validates."""
    root.rmdir()
    source = root.parent / 'imagenet'
    if not source.exists():
        imagenet(source, rng)
    names: list[list[str]] = []
    for folder in sorted((source / 'train').iterdir())[:9]:
        names.append([f'{folder.name}_{5000 + i}.JPEG' for i in range(10)])
        for name in names[-1]:
            (folder / name).write_bytes(encoded(rng))
    for file, number in (('1percent.txt', 5), ('10percent.txt', 10)):
        text = '\n'.join(name for some in names for name in some[:number])
        (source / file).write_text(text)
    prepare('imagenet', source, root.parent, allow_incomplete=True)


def digits(root: Path, rng: np.random.Generator) -> None:
    from bissl_mm.analysis.demo.digits import write_digits

    write_digits(str(root))


def scenes(root: Path, rng: np.random.Generator) -> None:
    from bissl_mm.analysis.demo.scenes import write_scenes

    write_scenes(str(root))


def glue(root: Path, rng: np.random.Generator) -> None:
    write_glue(root, train=100, dev=20)


def books(root: Path, rng: np.random.Generator) -> None:
    """Needs the library tokenizers."""
    write_books(root)


class Layout(NamedTuple):
    """Where the configs look for a data set, and the function that writes it."""

    place: str
    write: Callable[[Path, np.random.Generator], None]


LAYOUTS: dict[str, Layout] = dict(
    imagenet=Layout('data/imagenet', imagenet),
    voc=Layout('data/VOCdevkit', voc),
    cityscapes=Layout('data/cityscapes', cityscapes),
    cifar10_unlabeled=Layout('data/cifar10_unlabeled', cifar10_unlabeled),
    cifar10_labeled=Layout('data/cifar10_labeled', cifar10_labeled),
    dtd5=Layout('data/dtd5', dtd5),
    bccd_voc=Layout('data/bccd_voc', bccd_voc),
    camvid=Layout('data/camvid', camvid),
    pretext=Layout('data/pretext', pretext_folder),
    downstream=Layout('data/downstream', downstream_folder),
    downstream_coco=Layout('data/downstream_coco', downstream_coco),
    downstream_masks=Layout('data/downstream_masks', downstream_masks),
    digits=Layout('work_dirs/demo/data', digits),
    scenes_det=Layout('work_dirs/demo-det/data', scenes),
    scenes_seg=Layout('work_dirs/demo-seg/data', scenes),
    glue=Layout('data/glue', glue),
    books=Layout('data/books', books),
)
# The data of the classification tasks, as tools/prepare_dataset.py lays them out.
LAYOUTS.update(
    {
        name: Layout(f'data/{raw_labeled.FOLDERS.get(name, name)}', prepared(name))
        for name in (*raw_labeled.SETS, 'voc07')
    }
)
LAYOUTS.update(
    {
        f'imagenet_{share}': Layout(f'data/imagenet_{share}', imagenet_shares)
        for share in ('1p', '10p', '100p')
    }
)


def name_of(data_root: str) -> str:
    """The layout that contains a config's ``data_root``.

    Raises:
        LookupError: If no layout does.
    """
    for name, layout in LAYOUTS.items():
        if Path(data_root).is_relative_to(layout.place):
            return name
    raise LookupError(
        f'No generator writes the data in {data_root!r}. Write a function '
        'for this data set in tests/published_layouts.py and name it in '
        'LAYOUTS.'
    )


def write(name: str, root: Path) -> Path:
    """Write a data set under ``root`` and return its folder.

    Raises:
        FileExistsError: If the folder exists already.
    """
    place, function = LAYOUTS[name]
    folder = Path(root) / place
    if folder.exists():
        raise FileExistsError(
            f'{folder} exists already. Type another folder, or remove it.'
        )
    folder.mkdir(parents=True)
    function(folder, np.random.default_rng(0))
    return folder


def write_missing(node: dict) -> None:
    """Write the data that a part of a config reads, in the working folder."""
    for key in ('data_root', 'tokenizer'):
        if isinstance(node.get(key), str):
            # ImageNet's lists stand beside the folder of its images.
            beside = Path(node[key]) == Path('data')
            if beside and 'ann_file' not in node:
                continue
            name = name_of(f'{node[key]}/{node["ann_file"]}' if beside else node[key])
            if not Path(LAYOUTS[name].place).exists():
                write(name, Path())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        'names',
        nargs='+',
        metavar='NAME',
        choices=['all', *LAYOUTS],
        help=f'all, or some of {", ".join(LAYOUTS)}',
    )
    parser.add_argument('folder', help='written under FOLDER/data')
    args = parser.parse_args()
    # One function may write several folders.
    every = {LAYOUTS[name].write: name for name in reversed(LAYOUTS)}
    for name in every.values() if 'all' in args.names else args.names:
        print(write(name, Path(args.folder)))


if __name__ == '__main__':
    main()
