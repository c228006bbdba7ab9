"""What a function that lays out a data set works with."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from ..utils.errors import ValueRefusal


class Split:
    """A split while it is written.

    Args:
        root (Path): Where the prepared folders grow.
        folder (str): The prepared folder, such as ``'dtd5'``.
        name (str): Name of the split, such as ``'train'``.
    """

    def __init__(self, root: Path, folder: str, name: str) -> None:
        self.root = root / folder
        self.folder = folder
        self.name = name
        #: Image, relative to the folder -> where it is in the source.
        self.images: dict[str, str] = {}
        #: What the table says beside the number of images.
        self.remark = ''

    def place(self, path: str, origin: str) -> Path:
        """Where to write an image that is listed from now on.

        Args:
            path (str): Relative to the prepared folder.
            origin (str): Where the image is in the source.

        Raises:
            ValueRefusal: If two images of the source have the same place.
        """
        if path in self.images:
            raise ValueRefusal(
                f"'{origin}' and '{self.images[path]}' of the source would "
                f'both become {path!r}. Unpack the original archive again.'
            )
        self.images[path] = origin
        return self.other(path)

    def other(self, path: str) -> Path:
        """Where to write what is not an image, labels for example."""
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        return target

    def left_out(self, number: int) -> None:
        """Say in the table how many listed images are not written.

        Args:
            number (int): Those without the image file or its labels.
        """
        if number:
            self.remark += f'; {number} listed left out, image or labels missing'


class Task:
    """One preparation: its settings, and the splits written so far.

    Args:
        name (str): Of the data set.
        out (Path): Where the prepared folders grow.
        seed (int): Seed of :meth:`draw`.
        counts (dict): Numbers to draw.
        expected (dict): Number of images in each part of a complete source.
        download (str): What to download, in words.
        allow_incomplete (bool): Whether the source may have less.
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
    ) -> None:
        self.name = name
        self.out = out
        self.seed = seed
        self.counts = counts
        self.expected = expected
        self.download = download
        self.allow_incomplete = allow_incomplete
        self.splits: list[Split] = []

    def split(self, folder: str, name: str) -> Split:
        """Begin a split."""
        self.splits.append(Split(self.out, folder, name))
        return self.splits[-1]

    def check(self, found: Mapping[str, int]) -> None:
        """Refuse a source that is not complete.

        Args:
            found (dict): Number of images in each part, with the keys of
                ``expected``. One without its labels does not count.

        Raises:
            ValueRefusal: If they are not those of the publisher, unless a
                smaller source is allowed and no part is empty.
        """
        if found == self.expected or (self.allow_incomplete and all(found.values())):
            return
        numbers = '; '.join(
            f'{part}: {number} expected, {found[part]} found'
            for part, number in self.expected.items()
        )
        remedy = ', or take what is there with --allow-incomplete'
        raise ValueRefusal(
            f"{self.name}: the source does not have its publisher's images "
            f'and labels ({numbers}). Download it again ({self.download})'
            f'{remedy * all(found.values())}.'
        )

    def draw(self, items: Iterable[str], number: int, what: str) -> list[str]:
        """Draw without replacement, in random order.

        The order is that of the SHA-256 of ``'seed/item'``: the same for
        ever, on any system and with any version of any library.

        Args:
            items (Iterable[str]): All different.
            number (int): How many to draw.
            what (str): What they are, for the message.

        Raises:
            ValueRefusal: If there are fewer.
        """
        items = sorted(
            items,
            key=lambda item: hashlib.sha256(f'{self.seed}/{item}'.encode()).digest(),
        )
        if not 0 <= number <= len(items):
            raise ValueRefusal(
                f'{self.name}: {number} {what} are to be drawn, but '
                f'{len(items)} are there. Choose fewer with --counts.'
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
            settings = dict(
                data_set=self.name,
                download=self.download,
                images={
                    split.name: len(split.images)
                    for split in self.splits
                    if split.folder == folder
                },
            )
            if self.counts:
                settings.update(seed=self.seed, counts=dict(self.counts))
            (self.out / folder / 'prepared.json').write_text(
                json.dumps(settings, indent=1) + '\n'
            )


def table(splits: Sequence[Split]) -> str:
    """Numbers of images as a table, one line a split."""
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
