"""Caltech-101: 8,677 images of 101 classes, of which 30 each are for training.

The publisher has no parts. BACKGROUND_Google is not a class.
"""

from pathlib import Path

from ..plain import Labeled, Parts, by_class, pick, set_aside, write_parts
from ..registry import register
from ..task import Task


@register(
    'caltech101',
    folders=('caltech101',),
    download='caltech-101.zip, or 101_ObjectCategories.tar.gz in it, from the '
    'Caltech 101 page of the California Institute of Technology',
    markers=(('101_ObjectCategories',),),
    expected=dict(images=8677),
    drawn=dict(train_per_class=30),
    offered=('101_ObjectCategories.tar.gz',),
)
def prepare_caltech101(root: Path, task: Task) -> None:
    """Write ``caltech101``: 24 images of a class for training, 6 for validation."""
    folder = root / '101_ObjectCategories'
    classes = sorted(
        path.name
        for path in folder.iterdir()
        if path.is_dir() and path.name != 'BACKGROUND_Google'
    )
    # torchvision's order, by which the released lists count.
    images = [
        Labeled(
            f'images/{name}/{file.name}', label, f'{folder.name}/{name}/{file.name}'
        )
        for label, name in enumerate(classes)
        for file in sorted((folder / name).glob('image_*.jpg'))
    ]
    task.check(dict(images=len(images)))
    write_parts(
        task,
        'caltech101',
        classes,
        split(task, classes, images),
        save=lambda origin, target: task.take(root / origin, target),
    )


def split(task: Task, classes: list[str], images: list[Labeled]) -> Parts:
    """30 images of each class for training, a fifth of these for validation."""
    if task.split_rule == 'released':
        return pick(task, images, task.expected['images'])
    chosen: set[str] = set()
    for label, members in by_class(images):
        chosen.update(
            task.draw(
                (image.origin for image in members),
                task.counts['train_per_class'],
                f'images of class {classes[label]}',
            )
        )
    training = [image for image in images if image.origin in chosen]
    train, val = set_aside(task, training)
    return dict(
        train=train,
        val=val,
        test=[image for image in images if image.origin not in chosen],
    )
