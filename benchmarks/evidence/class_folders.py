"""Class folders of which not every part is there."""

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from dense_pack import SHARE, write
from layout_words import PARTS, SUFFIXES, is_mask, part_of
from mmengine.config import Config
from packs import Pack

from bissl_mm.utils.errors import ValueRefusal

#: A file within a class folder, with the class's number.
Line = tuple[str, int]


def find_parts(root: Path) -> dict[str, str]:
    """Folders of the parts, by part; the set itself for ``train`` if it has
    class folders alone.

    Args:
        root (Path): Folder of the set.
    """
    inner = sorted(
        p.name
        for p in root.iterdir()
        if p.is_dir() and not p.name.startswith('.') and _classes(p)
    )
    found: dict[str, str] = {}
    for name in inner:
        part = part_of(name)
        if part in PARTS and found.setdefault(part, name) != name:
            raise ValueRefusal(
                f'{root}: {found[part]!r} and {name!r} can each be the part '
                f'{part!r}. Leave one of them in the folder.'
            )
    if 'train' in found or inner:
        return found if 'train' in found else {}
    names = _classes(root)
    # Not of train and val, nor of images and masks.
    named = [n for n in names if not part_of(n) and is_mask((n,)) is None]
    return dict(train='.') if len(names) > 1 and named else {}


@dataclass(frozen=True)
class OwnClasses(Pack):
    """A set of class folders under any names, whose missing parts are drawn
    from the training part, class by class."""

    @cached_property
    def places(self) -> dict[str, str]:
        """Folders by part, of those that there are."""
        return find_parts(Path(self.root))

    @cached_property
    def missing(self) -> list[str]:
        """Parts that are drawn."""
        absent = [p for p in ('val', 'test') if p not in self.places]
        return ['val'] if absent == ['test'] else absent

    @property
    def notes(self) -> list[str]:
        if set(self.places) == set(PARTS):
            return []
        if 'val' in self.places:
            return [
                f'{self.root} has no test part: the part for validation '
                'is tested on, and a seeded fifth of each class of the '
                'training part is for choosing.'
            ]
        return [
            f'{self.root} has no part {" and no part ".join(self.missing)}'
            ': for each a seeded fifth of each class of the training part '
            'is taken.'
        ]

    @property
    def classes(self) -> list[str]:
        return _classes(Path(self.root, self.places['train']))

    @property
    def number(self) -> int:
        return len(self._lines['train'])

    @cached_property
    def _lines(self) -> dict[str, list[Line]]:
        """What is drawn, and what is left for training."""
        found: dict[str, list[Line]] = {p: [] for p in ('train', *self.missing)}
        folder = Path(self.root, self.places['train'])
        generator = torch.Generator().manual_seed(0)
        for number, name in enumerate(self.classes):
            files = _images(folder / name)
            order = torch.randperm(len(files), generator=generator).tolist()
            size = max(1, round(SHARE * len(files)))
            # One image at least is for training.
            size = min(size, (len(files) - 1) // max(1, len(self.missing)))
            lines = [(f'{name}/{files[i]}', number) for i in order]
            for i, part in enumerate(self.missing):
                found[part] += lines[i * size : (i + 1) * size]
            found['train'] += lines[len(self.missing) * size :]
        return {part: sorted(lines) for part, lines in found.items()}

    def put(self, cfg: Config, unit: int, lists: Path) -> None:
        super().put(cfg, unit, lists)
        for part in PARTS:
            dataset = cfg[f'{part}_dataloader'].dataset.dataset
            source = 'train' if part in self.missing else part
            if part == 'test' and part not in (*self.places, *self.missing):
                source = 'val'
            dataset.data_prefix = self.places[source]
            if part in self.missing or part == 'train' and self.missing:
                text = ''.join(
                    f'{name} {number}\n' for name, number in self._lines[part]
                )
                dataset.ann_file = str(
                    write(lists, f'{self.name}-{part}', '.txt', text)
                )
                dataset.classes = self.classes


def _classes(folder: Path) -> list[str]:
    return sorted(
        p.name
        for p in folder.iterdir()
        if p.is_dir() and not p.name.startswith('.') and _images(p)
    )


def _images(folder: Path) -> list[str]:
    return sorted(
        str(Path(place, file).relative_to(folder))
        for place, _, files in os.walk(folder, followlinks=True)
        for file in files
        if file.lower().endswith(SUFFIXES)
    )
