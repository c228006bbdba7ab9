"""The objects that a function works with when it lays out a data set."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from ..utils.errors import ValueRefusal


class Split:
    """A split that is being written.

    Args:
        root (Path): Folder in which the prepared folders are created.
        folder (str): The prepared folder, for example ``'dtd5'``.
        name (str): Name of the split, for example ``'train'``.
    """

    def __init__(self, root: Path, folder: str, name: str) -> None:
        self.root = root / folder
        self.folder = folder
        self.name = name
        #: Path of an image in the folder -> its path in the source.
        self.images: dict[str, str] = {}
        #: What the table says besides the number of images.
        self.remark = ''

    def place(self, path: str, origin: str) -> Path:
        """Add an image to the split; the path to write it to.

        Args:
            path (str): Path in the prepared folder.
            origin (str): Path of the image in the source.

        Raises:
            ValueRefusal: If two images of the source get the same path.
        """
        self.note(path, origin)
        return self.other(path)

    def note(self, path: str, origin: str) -> None:
        """Add an image to the split that is not written, as :meth:`place`."""
        if '..' in PurePosixPath(path).parts:
            raise ValueRefusal(
                f"'{origin}' of the source would be written outside of its folder, "
                f"to {path!r}. Unpack the publisher's archive again."
            )
        if path in self.images:
            raise ValueRefusal(
                f"'{origin}' and '{self.images[path]}' of the source would "
                f'both be written to {path!r}. Unpack the original archive again.'
            )
        self.images[path] = origin

    def other(self, path: str) -> Path:
        """The path to write a file to that is not an image, such as labels."""
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        return target

    def left_out(self, number: int) -> None:
        """Note for the table how many listed images are not written.

        Args:
            number (int): Number of images without their file or their labels.
        """
        if number:
            self.remark += f'; {number} listed images left out, file or labels missing'


class Task:
    """One preparation: its settings, and the splits written so far.

    Args:
        name (str): Name of the data set.
        out (Path): Folder in which the prepared folders are created.
        seed (int): Seed of :meth:`draw`.
        counts (dict): Numbers of images to draw.
        expected (dict): Number of images in each split of a complete source.
        download (str): What to download, in words.
        allow_incomplete (bool): Whether the source may be incomplete.
        split_rule (str): ``'rules'``, or ``'released'`` for the authors' lists.
    """

    def __init__(
        self,
        name: str,
        out: Path,
        seed: int,
        counts: Mapping[str, int],
        expected: Mapping[str, int],
        download: str,
        allow_incomplete: bool,
        split_rule: str = 'rules',
    ) -> None:
        self.name = name
        self.out = out
        self.seed = seed
        self.counts = counts
        self.expected = expected
        self.download = download
        self.allow_incomplete = allow_incomplete
        self.split_rule = split_rule
        self.splits: list[Split] = []
        #: Whether something was drawn.
        self.drew = False

    def split(self, folder: str, name: str) -> Split:
        """Start a new split."""
        self.splits.append(Split(self.out, folder, name))
        return self.splits[-1]

    def check(self, found: Mapping[str, int]) -> None:
        """Refuse an incomplete source.

        Args:
            found (dict): Number of images in each split, with the keys of
                ``expected``. An image without its labels does not count.

        Raises:
            ValueRefusal: If the numbers are not the publisher's, unless an
                incomplete source is allowed and no split is empty.
        """
        if found == self.expected or (self.allow_incomplete and all(found.values())):
            return
        numbers = '; '.join(
            f'{part}: {number} expected, {found[part]} found'
            for part, number in self.expected.items()
        )
        remedy = ', or type --allow-incomplete to take what it has'
        raise ValueRefusal(
            f"{self.name}: the source does not have all of its publisher's images "
            f'and labels ({numbers}). Download it again ({self.download})'
            f'{remedy * all(found.values())}.'
        )

    def take(self, source: Path, target: Path) -> None:
        """Copy a file of the source; one that was unpacked here is moved."""
        if self.out.parent in source.parents:
            os.replace(source, target)
        else:
            shutil.copyfile(source, target)

    def draw(self, items: Iterable[str], number: int, what: str) -> list[str]:
        """Draw without replacement, in random order.

        Items are ordered by the SHA-256 of ``'seed/item'``. So the draw is the
        same on any system and with any version of any library.

        Args:
            items (Iterable[str]): The items, all different.
            number (int): How many to draw.
            what (str): What the items are, for the message.

        Raises:
            ValueRefusal: If there are fewer items.
        """
        self.drew = True
        items = sorted(
            items,
            key=lambda item: hashlib.sha256(f'{self.seed}/{item}'.encode()).digest(),
        )
        if not 0 <= number <= len(items):
            raise ValueRefusal(
                f'{self.name}: {number} {what} are to be drawn, but the source '
                f'has {len(items)}. Choose fewer with --counts.'
            )
        return items[:number]

    def write_lists(self) -> None:
        """Write ``lists/SPLIT.txt`` and ``prepared.json`` of each folder."""
        for split in self.splits:
            split.other(f'lists/{split.name}.txt').write_text(
                ''.join(
                    f'{path}\t{origin}\n'
                    for path, origin in sorted(split.images.items())
                )
            )
        for folder in {split.folder for split in self.splits}:
            settings: dict[str, Any] = dict(
                data_set=self.name,
                download=self.download,
                images={
                    split.name: len(split.images)
                    for split in self.splits
                    if split.folder == folder
                },
            )
            if self.split_rule != 'rules':
                settings.update(split=self.split_rule)
            if self.drew:
                settings.update(seed=self.seed)
            if self.counts:
                settings.update(counts=dict(self.counts))
            (self.out / folder / 'prepared.json').write_text(
                json.dumps(settings, indent=1) + '\n'
            )


def table(splits: Sequence[Split]) -> str:
    """Numbers of images as a table, one line per split."""
    rows = [('folder', 'split', 'images', '')]
    rows += [
        (split.folder, split.name, str(len(split.images)), split.remark)
        for split in splits
    ]
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    return '\n'.join(
        f'{row[0]:{widths[0]}}  {row[1]:{widths[1]}}  {row[2]:>{widths[2]}}'
        f'  {row[3]}'.rstrip()
        for row in rows
    )
