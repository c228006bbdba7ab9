"""The pictures of a demo."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

#: Pictures of a quick run; t-SNE wants more than 30.
QUICK = dict(pretext=30, train=30, val=10, test=31)


@dataclass
class DemoData:
    """The pictures of a demo.

    Attributes:
        counts (dict[str, int]): Their number by part: ``'pretext'``,
            ``'train'``, ``'val'``, ``'test'``.
        unlabeled (str): What the unlabeled ones are.
        title (str): Of the report, after the task's name.
        note (str): What has to be known about them.
        classes (Sequence[str]): Names, in the order of the labels.
        pretext (str, optional): Folder of unlabeled images, where the
            configs name none.
        pretext_list (str, optional): File with a line for each image of that
            folder to take. None takes all.
        downstream (str, optional): Folder with ``train/<class>``,
            ``val/<class>`` and ``test/<class>``, likewise.
        is_own (bool): Whether they are the user's, and to be looked over.
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
    """Digits or scenes of them, for the configs of ``configs/demo``.

    Args:
        write (Callable): Writes them to a folder and returns their numbers.
        root (str): The folder.
    """
    os.environ['BISSL_DEMO_DATA'] = root
    return DemoData(write(root), 'handwritten digits', 'handwritten digits')
