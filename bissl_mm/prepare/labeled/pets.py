"""Oxford-IIIT Pets: 3,680 training and 3,669 test images of 37 breeds."""

from pathlib import Path

from ..plain import Labeled, lay_out_files
from ..registry import register
from ..task import Task
from ..texts import fields_of, number_of


@register(
    'pets',
    folders=('pets',),
    download='images.tar.gz and annotations.tar.gz, from the Oxford-IIIT Pet page of '
    'the Visual Geometry Group, Oxford, in one folder',
    markers=(('images', 'annotations/trainval.txt'),),
    expected=dict(train=3680, test=3669),
    offered=('images.tar.gz', 'annotations.tar.gz'),
)
def prepare_pets(root: Path, task: Task) -> None:
    """Write ``pets``; the publisher has no validation part."""
    parts, names = {}, {}
    for part, file in (('train', 'trainval.txt'), ('test', 'test.txt')):
        path, parts[part] = root / 'annotations' / file, []
        # Lines have the image, its class from 1, the species and the breed.
        for stem, number, _, _ in fields_of(path, 4):
            label = number_of(number, path) - 1
            names[label] = stem.rpartition('_')[0]
            parts[part].append(
                Labeled(f'images/{stem}.jpg', label, f'images/{stem}.jpg')
            )
    lay_out_files(root, task, 'pets', [names[i] for i in sorted(names)], parts)
