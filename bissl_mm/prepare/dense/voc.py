"""PASCAL VOC 2007 and 2012: boxes and masks, in the publisher's layout.

``voc-sbd`` has the masks of the Semantic Boundaries Dataset (SBD) beside them, as PNG
files, and lists of them in mmseg's layout: ``aug`` are those of images that are in
neither part of VOC2012 with masks, ``trainaug`` are ``train`` and ``aug``.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ...utils.errors import ValueRefusal
from ..registry import register
from ..task import Task
from ..texts import lines_of, read_mat

#: Year -> its parts.
YEARS = {'2007': ('train', 'val', 'test'), '2012': ('train', 'val')}
EXPECTED = {
    '2007 train': 2501,
    '2007 val': 2510,
    '2007 test': 4952,
    '2012 train': 5717,
    '2012 val': 5823,
    '2007 masks': 632,
    '2012 masks': 2913,
}
FILES = ('VOCtrainval*2007.tar', 'VOCtest*2007.tar', 'VOCtrainval*2012.tar')
DOWNLOAD = (
    'VOCtrainval_06-Nov-2007.tar, VOCtest_06-Nov-2007.tar and '
    'VOCtrainval_11-May-2012.tar, from the PASCAL VOC pages'
)
WANTED = 'VOC20../(JPEGImages|Annotations|ImageSets/(Main|Seg)|SegmentationClass/)'


def markers(above: str, *others: str) -> tuple[tuple[str, ...], ...]:
    """What the folder has that contains the years, below ``above``."""
    return ((*(f'{above}VOC{year}/JPEGImages' for year in YEARS), *others),)


@register(
    'voc',
    folders=('VOCdevkit',),
    download=f'{DOWNLOAD}, in one folder',
    markers=markers(''),
    expected=EXPECTED,
    offered=FILES,
    wanted=WANTED,
)
def prepare_voc(root: Path, task: Task) -> None:
    """Write ``VOCdevkit/VOC2007`` and ``VOCdevkit/VOC2012``."""
    task.check(counts(root))
    write_years(root, task)


@register(
    'voc-sbd',
    folders=('VOCdevkit',),
    download=f'{DOWNLOAD}, and benchmark.tgz, from the page of the Semantic '
    'Boundaries Dataset, in one folder',
    markers=markers('VOCdevkit/', 'benchmark_RELEASE/dataset/cls'),
    expected={**EXPECTED, 'SBD masks': 9118},
    offered=(*FILES, 'benchmark.tgz'),
    wanted=f'{WANTED}|benchmark_RELEASE/dataset/(cls/|train.txt|val.txt)',
)
def prepare_voc_sbd(root: Path, task: Task) -> None:
    """Write ``VOCdevkit`` with ``VOC2012/SegmentationClassAug``."""
    folder, boundaries = root / 'VOCdevkit', root / 'benchmark_RELEASE/dataset'
    lists = folder / 'VOC2012/ImageSets/Segmentation'
    train, val = (lines_of(lists / f'{part}.txt') for part in YEARS['2012'])
    every = [
        stem
        for part in ('train', 'val')
        for stem in lines_of(boundaries / f'{part}.txt')
        if (boundaries / f'cls/{stem}.mat').is_file()
        and (folder / f'VOC2012/JPEGImages/{stem}.jpg').is_file()
    ]
    aug = sorted(set(every) - set(train) - set(val))
    task.check({**counts(folder), 'SBD masks': len(aug)})
    write_years(folder, task, {'2012': aug})
    split = task.splits[-1]
    for stem in aug:
        labels = read_labels(boundaries / f'cls/{stem}.mat')
        path = split.other(f'VOC2012/SegmentationClassAug/{stem}.png')
        Image.fromarray(labels).save(path)
    for part, stems in (('aug', aug), ('trainaug', sorted({*train, *aug}))):
        path = split.other(f'VOC2012/ImageSets/Segmentation/{part}.txt')
        path.write_text(''.join(f'{stem}\n' for stem in stems))


def read_labels(path: Path) -> np.ndarray:
    """``(H, W)`` uint8 class ids of SBD, 0 where there is none."""
    content: Any = read_mat(path, 'GTcls')[0]
    try:
        labels = np.asarray(content['Segmentation'].item())
    except (AttributeError, IndexError, TypeError, ValueError) as error:
        raise ValueRefusal(
            f"'{path}' has no GTcls.Segmentation ({error}). Download it again."
        ) from error
    if labels.ndim != 2 or labels.dtype != np.uint8 or labels.max(initial=0) > 20:
        raise ValueRefusal(
            f"'{path}' should have one class from 0 to 20 for each pixel, but has "
            f'shape {labels.shape}, type {labels.dtype} and largest value '
            f'{labels.max(initial=0)}. Download it again.'
        )
    return labels


def listed(root: Path, year: str, kind: str, parts: Iterable[str]) -> list[str]:
    folder = root / f'VOC{year}/ImageSets/{kind}'
    return [stem for part in parts for stem in lines_of(folder / f'{part}.txt')]


def counts(root: Path) -> dict[str, int]:
    """Images with boxes in each part, and images with masks."""
    found = {}
    for year, parts in YEARS.items():
        folder = root / f'VOC{year}'

        def there(stem: str, file: str, folder: Path = folder) -> bool:
            image = folder / f'JPEGImages/{stem}.jpg'
            return image.is_file() and (folder / file.format(stem)).is_file()

        for part in parts:
            found[f'{year} {part}'] = sum(
                there(stem, 'Annotations/{}.xml')
                for stem in listed(root, year, 'Main', [part])
            )
        found[f'{year} masks'] = sum(
            there(stem, 'SegmentationClass/{}.png')
            for stem in listed(root, year, 'Segmentation', parts)
        )
    return {key: found[key] for key in EXPECTED}


def write_years(
    root: Path, task: Task, others: dict[str, list[str]] | None = None
) -> None:
    """Write the listed images, boxes and masks, and the lists.

    Args:
        others (dict, optional): Year -> images that no list has.
    """
    for year, parts in YEARS.items():
        folder, split = f'VOC{year}', task.split('VOCdevkit', year)
        masks = set(listed(root, year, 'Segmentation', parts))
        stems = {
            *listed(root, year, 'Main', parts),
            *masks,
            *(others or {}).get(year, ()),
        }
        for stem in sorted(stems):
            for kind, suffix in (
                ('JPEGImages', 'jpg'),
                ('Annotations', 'xml'),
                ('SegmentationClass', 'png'),
            ):
                file = f'{folder}/{kind}/{stem}.{suffix}'
                if not (root / file).is_file():
                    continue
                is_image = kind == 'JPEGImages'
                place = split.place(file, file) if is_image else split.other(file)
                task.take(root / file, place)
        for kind in ('Main', 'Segmentation'):
            for part in (*parts, 'trainval'):
                file = f'{folder}/ImageSets/{kind}/{part}.txt'
                if (root / file).is_file():
                    task.take(root / file, split.other(file))
        split.remark = f'{len(masks)} with masks'
