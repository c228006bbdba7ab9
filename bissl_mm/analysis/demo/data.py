"""The pictures of a demo."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

#: Pictures of a quick run; t-SNE needs more than 30.
QUICK = dict(pretext=30, train=30, val=10, test=31)


@dataclass
class DemoData:
    """The pictures of a demo.

    Attributes:
        counts (dict[str, int]): Number of pictures in each split:
            ``'pretext'``, ``'train'``, ``'val'``, ``'test'``.
        unlabeled (str): What the unlabeled pictures show, in words.
        title (str): Title of the report after the task's name.
        note (str): What a reader has to know about the pictures.
        classes (Sequence[str]): Names of the classes, in the order of labels.
        pretext (str, optional): Folder of unlabeled images, if the configs name
            none.
        pretext_list (str, optional): File that lists the images of that folder
            to take, one per line. None takes all.
        downstream (str, optional): Folder with ``train/<class>``,
            ``val/<class>`` and ``test/<class>``, if the configs name none.
        is_own (bool): Whether they are the user's images, which are checked.
    """

    counts: dict[str, int]
    unlabeled: str
    title: str
    note: str = ''
    classes: Sequence[str] = field(default_factory=lambda: [str(i) for i in range(10)])
    pretext: str | None = None
    pretext_list: str | None = None
    downstream: str | None = None
    is_own: bool = False


def digits(write: Callable[[str], dict[str, int]], root: str) -> DemoData:
    """Digits or scenes of digits, for the configs in ``configs/demo``.

    Args:
        write (Callable): Writes the pictures to a folder and returns their
            number in each split.
        root (str): The folder.
    """
    os.environ['BISSL_DEMO_DATA'] = root
    return DemoData(write(root), 'handwritten digits', 'handwritten digits')
