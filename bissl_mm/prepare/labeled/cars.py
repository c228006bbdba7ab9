"""Stanford Cars: 8,144 training and 8,041 test images of 196 models."""

from pathlib import Path

import numpy as np

from ...utils.errors import ValueRefusal
from ..plain import Labeled, lay_out_files
from ..registry import register
from ..task import Task
from ..texts import read_mat

#: Part -> where its labels are.
LABELS = dict(
    train='devkit/cars_train_annos.mat', test='cars_test_annos_withlabels.mat'
)


@register(
    'cars',
    folders=('cars',),
    download='cars_train.tgz, cars_test.tgz, car_devkit.tgz and '
    'cars_test_annos_withlabels.mat, of the Stanford Cars page, in one folder',
    markers=(
        (
            'cars_train',
            'cars_test',
            'devkit/cars_meta.mat',
            'devkit/cars_train_annos.mat',
        ),
    ),
    expected=dict(train=8144, test=8041),
    offered=(
        'cars_train.tgz',
        'cars_test.tgz',
        'car_devkit.tgz',
        'cars_test_annos_withlabels.mat',
    ),
)
def prepare_cars(root: Path, task: Task) -> None:
    """Write ``cars``; the publisher has no validation part."""
    (names,) = read_mat(root / 'devkit/cars_meta.mat', 'class_names')
    parts = {}
    for part, place in LABELS.items():
        rows = read_mat(root / place, 'annotations')[0]
        parts[part] = [
            Labeled(f'images/{part}/{name}', label - 1, f'cars_{part}/{name}')
            for name, label in labelled(rows, root / place)
        ]
    lay_out_files(root, task, 'cars', [str(name) for name in names], parts)


def labelled(rows, path: Path) -> list[tuple[str, int]]:
    """Name and class of each image.

    The devkit's own file of the test images has the same form and no classes; with
    it the test part is empty, and is refused.
    """
    names = getattr(getattr(rows, 'dtype', None), 'names', None) or ()
    if not {'fname', 'class'} <= set(names):
        return []
    rows = np.atleast_1d(rows)
    try:
        return [
            (str(name), int(label))
            for name, label in zip(rows['fname'], rows['class'], strict=True)
        ]
    except (TypeError, ValueError) as error:
        raise ValueRefusal(
            f"'{path}' has a class that is no number ({error}). Download it again."
        ) from error
