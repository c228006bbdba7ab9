"""The plain form of labeled images, which all classification tasks read.

``NAME/images`` has the images. ``NAME/meta/train.txt``, ``val.txt`` and ``test.txt``
have a line for each image: its path and the number of its class, from 0.
``NAME/meta/classes.txt`` has the names of the classes in order.
"""

from collections.abc import Callable, Sequence
from fractions import Fraction
from math import ceil
from pathlib import Path
from typing import NamedTuple

from ..utils.errors import ValueRefusal
from .released import released_parts
from .task import Task

PARTS = ('train', 'val', 'test')
#: Share of the training part that is set aside for validation (B.1).
SHARE = Fraction(1, 5)


class Labeled(NamedTuple):
    """An image of one class."""

    #: Path in the prepared folder.
    path: str
    #: Number of its class, from 0.
    label: int
    #: Path in the source, or what names the image there.
    origin: str


Parts = dict[str, list[Labeled]]


def lay_out(
    task: Task,
    folder: str,
    classes: Sequence[str],
    parts: Parts,
    save: Callable[[str, Path], None] | None,
    exists: Callable[[str], bool] | None = None,
) -> None:
    """Check the images, set the validation part aside, and write everything.

    Args:
        task (Task): The preparation.
        folder (str): The prepared folder.
        classes (Sequence[str]): Names of the classes in order.
        parts (dict): Images of ``'train'`` and ``'test'``, and of ``'val'`` if the
            publisher has that part, in the publisher's order.
        save (Callable): Writes the image of an origin to a path. None if the
            images stay where they are.
        exists (Callable, optional): Whether the source has an origin. Defaults to
            None: it has all.

    Raises:
        ValueRefusal: If the source is incomplete or a label has no class.
    """
    parts, left_out = complete(task, parts, exists)
    if 'val' not in parts:
        parts['train'], parts['val'] = set_aside(task, parts['train'])
    write_parts(task, folder, classes, parts, save, left_out)


def lay_out_files(
    root: Path, task: Task, folder: str, classes: Sequence[str], parts: Parts
) -> None:
    """As :func:`lay_out`, of images that are files; origins are paths in ``root``."""
    lay_out(
        task,
        folder,
        classes,
        parts,
        save=lambda origin, target: task.take(root / origin, target),
        exists=lambda origin: (root / origin).is_file(),
    )


def complete(
    task: Task, parts: Parts, exists: Callable[[str], bool] | None
) -> tuple[Parts, dict[str, int]]:
    """The images that are there, and the numbers of those that are not."""
    there = {
        part: [image for image in images if exists is None or exists(image.origin)]
        for part, images in parts.items()
    }
    task.check({part: len(images) for part, images in there.items()})
    missing = {part: len(parts[part]) - len(there[part]) for part in parts}
    return there, missing


def set_aside(
    task: Task, images: Sequence[Labeled]
) -> tuple[list[Labeled], list[Labeled]]:
    """Training and validation images: a fifth of each class, or the released list.

    The number of all validation images is a fifth, rounded with halves up; the
    number of each class differs from its fifth by less than one (B.1,
    arXiv:2410.02387: 20%, with the proportions of the classes).

    Raises:
        ValueRefusal: If the source is incomplete and the list is the authors'.
    """
    if task.split_rule == 'released':
        found = pick(task, images, task.expected['train'])
        return found['train'], found['val']
    chosen, before = set(), 0
    for _, members in by_class(images):
        cut = _rounded(before + len(members)) - _rounded(before)
        before += len(members)
        chosen.update(task.draw((i.origin for i in members), cut, 'validation images'))
    return (
        [image for image in images if image.origin not in chosen],
        [image for image in images if image.origin in chosen],
    )


def pick(task: Task, images: Sequence[Labeled], number: int) -> Parts:
    """The images at the released positions.

    Args:
        number (int): How many images the positions count.
    """
    if len(images) != number:
        raise ValueRefusal(
            f'--split released: the positions in the released lists of {task.name} '
            f'count {number} images, but the source has {len(images)}. Download it '
            f'again ({task.download}), or leave --split out.'
        )
    return {
        part: [images[i] for i in positions]
        for part, positions in released_parts(task.name).items()
    }


def by_class(images: Sequence[Labeled]) -> list[tuple[int, list[Labeled]]]:
    """The images of each class, in the order of the classes."""
    found: dict[int, list[Labeled]] = {}
    for image in images:
        found.setdefault(image.label, []).append(image)
    return sorted(found.items())


def write_parts(
    task: Task,
    folder: str,
    classes: Sequence[str],
    parts: Parts,
    save: Callable[[str, Path], None] | None,
    left_out: dict[str, int] | None = None,
) -> None:
    """Write the images of the parts, the lists and the names of the classes.

    Raises:
        ValueRefusal: If a label has no class.
    """
    write_classes(task, folder, classes)
    for part in PARTS:
        split, lines = task.split(folder, part), []
        for path, label, origin in parts[part]:
            if not 0 <= label < len(classes):
                raise ValueRefusal(
                    f'{task.name}: {origin!r} has class {label + 1}, but there are '
                    f'{len(classes)} classes. Download the source again '
                    f'({task.download}).'
                )
            if save is not None:
                save(origin, split.place(path, origin))
            else:
                split.note(path, origin)
            lines.append(f'{path} {label}\n')
        split.other(f'meta/{part}.txt').write_text(''.join(lines))
        split.remark = f'{len({image.label for image in parts[part]})} classes'
        split.left_out((left_out or {}).get(part, 0))


def write_classes(task: Task, folder: str, classes: Sequence[str]) -> None:
    """Write ``meta/classes.txt``."""
    path = task.out / folder / 'meta' / 'classes.txt'
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(''.join(f'{name}\n' for name in classes))


def _rounded(number: int) -> int:
    return ceil(SHARE * number - Fraction(1, 2))
