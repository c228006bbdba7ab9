"""Caltech-UCSD Birds-200-2011: 5,994 training and 5,794 test images of 200 birds."""

from pathlib import Path

from ..plain import Labeled, lay_out_files
from ..registry import register
from ..task import Task
from ..texts import fields_of, number_of


@register(
    'cub200',
    folders=('cub200',),
    download='CUB_200_2011.tgz, from the page of Caltech-UCSD Birds-200-2011',
    markers=(
        ('images', 'images.txt', 'image_class_labels.txt', 'train_test_split.txt'),
    ),
    expected=dict(train=5994, test=5794),
)
def prepare_cub200(root: Path, task: Task) -> None:
    """Write ``cub200``; the publisher has no validation part."""
    classes = [name for _, name in fields_of(root / 'classes.txt', 2)]
    labels = dict(fields_of(root / 'image_class_labels.txt', 2))
    training = dict(fields_of(root / 'train_test_split.txt', 2))
    parts: dict[str, list[Labeled]] = dict(train=[], test=[])
    for key, name in fields_of(root / 'images.txt', 2):
        # An image without a class or a part is not counted, so it is missed.
        if key in labels and key in training:
            label = number_of(labels[key], root / 'image_class_labels.txt') - 1
            part = 'train' if training[key] == '1' else 'test'
            parts[part].append(Labeled(f'images/{name}', label, f'images/{name}'))
    lay_out_files(root, task, 'cub200', classes, parts)
