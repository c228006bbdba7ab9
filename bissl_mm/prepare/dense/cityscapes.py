"""Cityscapes, fine annotations: the images, and masks of the 19 classes.

The publisher has masks of 34 labels. The configs read ``labelTrainIds``, which its
scripts make; here they are made from ``labelIds``, which are drawn in the same way.
"""

from pathlib import Path

import numpy as np
from PIL import Image

from ...utils.errors import ValueRefusal
from ..registry import register
from ..task import Task

PARTS = ('train', 'val')
#: Label -> class that is evaluated; all others are 255.
CLASSES = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
TRAIN_IDS = np.full(256, 255, np.uint8)
TRAIN_IDS[list(CLASSES)] = range(len(CLASSES))
IMAGE, LABELS = '_leftImg8bit.png', '_gtFine_labelIds.png'


@register(
    'cityscapes',
    folders=('cityscapes',),
    download='leftImg8bit_trainvaltest.zip and gtFine_trainvaltest.zip, from the '
    'Cityscapes page, in one folder',
    markers=(('leftImg8bit/train', 'gtFine/train'),),
    expected=dict(train=2975, val=500),
    offered=('leftImg8bit_trainvaltest.zip', 'gtFine_trainvaltest.zip'),
    wanted='(leftImg8bit/(train|val)/|gtFine/(train|val)/.*_labelIds.png$)',
)
def prepare_cityscapes(root: Path, task: Task) -> None:
    """Write ``cityscapes/{leftImg8bit,gtFine}/{train,val}/CITY``."""
    images = {
        part: sorted((root / 'leftImg8bit' / part).glob(f'*/*{IMAGE}'))
        for part in PARTS
    }
    there = {
        part: [path for path in paths if labels_of(root, path).is_file()]
        for part, paths in images.items()
    }
    task.check({part: len(paths) for part, paths in there.items()})
    for part, paths in there.items():
        split = task.split('cityscapes', part)
        for path in paths:
            labels = labels_of(root, path)
            place = labels.relative_to(root).as_posix()
            write_mask(labels, split.other(place.replace('labelIds', 'labelTrainIds')))
            file = path.relative_to(root).as_posix()
            task.take(path, split.place(file, file))
        split.remark = f'{len({path.parent.name for path in paths})} cities'
        split.left_out(len(images[part]) - len(paths))


def labels_of(root: Path, image: Path) -> Path:
    """The file with the labels of an image."""
    part, city = image.parent.parent.name, image.parent.name
    return root / 'gtFine' / part / city / (image.name.removesuffix(IMAGE) + LABELS)


def write_mask(labels: Path, target: Path) -> None:
    """Write the numbers of the classes.

    Raises:
        ValueRefusal: If the labels are not 8 bits a pixel.
    """
    try:
        found = np.array(Image.open(labels))
    except (OSError, SyntaxError) as error:
        raise ValueRefusal(
            f"'{labels}' is damaged ({error}). Download it again."
        ) from error
    if found.ndim != 2 or found.dtype != np.uint8:
        raise ValueRefusal(
            f"'{labels}' should have one label of 8 bits for each pixel, but has shape "
            f'{found.shape} and type {found.dtype}. Download it again.'
        )
    Image.fromarray(TRAIN_IDS[found]).save(target)
