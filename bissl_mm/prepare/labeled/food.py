"""Food-101: 101 dishes, 750 training and 250 test images of each."""

import json
from pathlib import Path

from ...utils.errors import ValueRefusal
from ..plain import Labeled, lay_out_files
from ..registry import register
from ..task import Task
from ..texts import index_of, lines_of, numbered


@register(
    'food',
    folders=('food',),
    download='food-101.tar.gz, from the Food-101 page of the Computer Vision Lab, '
    'ETH Zurich',
    markers=(('images', 'meta/classes.txt', 'meta/train.json'),),
    expected=dict(train=75750, test=25250),
)
def prepare_food(root: Path, task: Task) -> None:
    """Write ``food``; the publisher has no validation part."""
    classes = lines_of(root / 'meta/classes.txt')
    numbers = numbered(classes)
    parts = {}
    for part in ('train', 'test'):
        path = root / f'meta/{part}.json'
        parts[part] = [
            Labeled(
                f'images/{stem}.jpg',
                index_of(name, numbers, path),
                f'images/{stem}.jpg',
            )
            for name, stems in read_json(path).items()
            for stem in stems
        ]
    lay_out_files(root, task, 'food', classes, parts)


def read_json(path: Path) -> dict[str, list[str]]:
    """Images of each class, in the order of the file, which is torchvision's.

    Raises:
        ValueRefusal: If the file is not as published.
    """
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text())
    except ValueError as error:
        raise ValueRefusal(
            f"'{path}' is damaged ({error}). Download it again."
        ) from error
    if not isinstance(content, dict) or not all(
        isinstance(stems, list) for stems in content.values()
    ):
        raise ValueRefusal(
            f"'{path}' should have a list of images for each class. Download it again."
        )
    return content
