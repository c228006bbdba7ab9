"""Oxford 102 Flowers: 1,020 training, 1,020 validation and 6,149 test images."""

from pathlib import Path

from ...utils.errors import ValueRefusal
from ..plain import Labeled, lay_out_files
from ..registry import register
from ..task import Task
from ..texts import read_mat, whole_numbers

#: Part -> its name in setid.mat.
KEYS = dict(train='trnid', val='valid', test='tstid')
CLASSES = 102


@register(
    'flowers',
    folders=('flowers',),
    download='102flowers.tgz, imagelabels.mat and setid.mat, from the 102 Flower '
    'page of the Visual Geometry Group, Oxford, in one folder',
    markers=(('jpg', 'imagelabels.mat', 'setid.mat'),),
    expected=dict(train=1020, val=1020, test=6149),
    offered=('102flowers.tgz', 'imagelabels.mat', 'setid.mat'),
)
def prepare_flowers(root: Path, task: Task) -> None:
    """Write ``flowers`` with the publisher's parts; it has no names of classes."""
    file, lists = root / 'imagelabels.mat', root / 'setid.mat'
    labels = whole_numbers(read_mat(file, 'labels')[0], file)
    parts = {}
    for part, found in zip(KEYS, read_mat(lists, *KEYS.values()), strict=True):
        numbers = whole_numbers(found, lists)
        if numbers.size and not 1 <= numbers.min() <= numbers.max() <= len(labels):
            raise ValueRefusal(
                f"'{lists}' has images {numbers.min()} to {numbers.max()}, but "
                f"'{file}' has {len(labels)} labels. Download both again."
            )
        stems = [f'image_{i:05}.jpg' for i in numbers]
        parts[part] = [
            Labeled(f'images/{stem}', int(labels[i - 1]) - 1, f'jpg/{stem}')
            for i, stem in zip(numbers, stems, strict=True)
        ]
    classes = [str(i) for i in range(1, CLASSES + 1)]
    lay_out_files(root, task, 'flowers', classes, parts)
