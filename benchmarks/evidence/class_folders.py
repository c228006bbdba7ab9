"""Class folders of which not every part is there."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from dense_pack import SHARE, write
from layout_words import (
    PARTS,
    SPLIT_WORDS,
    SUFFIXES,
    classes_within,
    files_in,
    images_in,
    is_mask,
    left_out,
    listed,
    part_of,
)
from mmengine.config import Config
from packs import Pack

from bissl_mm.utils.errors import ValueRefusal

#: A file within a class folder, with the class's number.
Line = tuple[str, int]


def find_parts(root: Path, named: bool = False) -> dict[str, str]:
    """Folders of the parts, by part; the set itself for ``train`` if it has
    class folders alone.

    Args:
        root (Path): Folder of the set.
        named (bool): Whether the user says that it has classes, whatever their
            names. Defaults to False.
    """
    names = _classes(root)
    inner = [name for name in names if _classes(root / name)]
    found: dict[str, str] = {}
    for name in inner:
        part = part_of(name)
        if part in PARTS and found.setdefault(part, name) != name:
            raise ValueRefusal(
                f'{root}: {found[part]!r} and {name!r} can each be the part '
                f'{part!r}. Leave one of them in the folder.'
            )
    both = [name for name in inner if name.lower() == 'trainval']
    if both and found and 'val' not in found:
        # Those to choose by are drawn from it.
        found.setdefault('train', both[0])
    if found:
        return found if 'train' in found else {}
    return dict(train='.') if _at_root(root, names, inner, named) else {}


def _at_root(root: Path, names: list[str], inner: list[str], named: bool) -> bool:
    """Whether folders of a set, of which none is a part, are classes."""
    if len(names) < 2 or all(name.lower() in SPLIT_WORDS for name in names):
        return False
    if named:
        return True
    # Not unlabeled images of a part, nor parts alone, nor images and masks.
    if any(len(n) > 2 and SPLIT_WORDS.get(n.lower()) in PARTS for n in names):
        return False
    if all(part_of(n) or is_mask((n,)) is not None for n in names):
        return False
    # Where a folder has nothing but folders, those could be the classes.
    return all(_has_images(root / name, directly=True) for name in inner)


@dataclass(frozen=True)
class OwnClasses(Pack):
    """A set of class folders under any names, whose missing parts are drawn
    from the training part, class by class."""

    #: As the shipped config has it.
    stage = dict(upper_lr=0.06)

    @cached_property
    def places(self) -> dict[str, str]:
        """Folders by part, of those that there are."""
        # They are known to be classes.
        return find_parts(Path(self.root), named=True)

    @cached_property
    def missing(self) -> list[str]:
        """Parts that are drawn."""
        absent = [p for p in ('val', 'test') if p not in self.places]
        return ['val'] if absent == ['test'] else absent

    @property
    def notes(self) -> list[str]:
        within = classes_within(Path(self.root, self.places['train']), self.classes)
        if set(self.places) == set(PARTS):
            return within
        if 'val' in self.places:
            note = (
                f'{self.root} has no test part: the part for validation '
                'is tested on, and a seeded fifth of each class of the '
                'training part is for choosing.'
            )
        else:
            note = (
                f'{self.root} has no part {" and no part ".join(self.missing)}'
                ': for each a seeded fifth of each class of the training part '
                'is taken.'
            )
        # The look over the data knows nothing of files that a list leaves out.
        return [note, *within, *self._left_out()]

    def _left_out(self) -> list[str]:
        folder = Path(self.root, self.places['train'])
        others = [name for name in _folders(folder) if name not in self.classes]
        found = left_out(folder, self.classes)
        if others:
            found.append(
                f'{folder}: folders without an image are no classes: {listed(others)}.'
            )
        return found

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
            files = images_in(folder / name)
            order = torch.randperm(len(files), generator=generator).tolist()
            size = max(1, round(SHARE * len(files)))
            # One image at least is for training.
            size = min(size, (len(files) - 1) // max(1, len(self.missing)))
            lines = [(f'{name}/{files[i]}', number) for i in order]
            for i, part in enumerate(self.missing):
                found[part] += lines[i * size : (i + 1) * size]
            found['train'] += lines[len(self.missing) * size :]
        for part in self.missing:
            if len({number for _, number in found[part]}) < 2:
                # Of one class, each network knows all.
                raise ValueRefusal(
                    f'{folder}: of {len(self.classes)} classes too few have '
                    f'{len(self.missing) + 1} images or more, so none can be taken for '
                    f'the part {part!r}, which is missing. Add that part, or images.'
                )
        return {part: sorted(lines) for part, lines in found.items()}

    def put(self, cfg: Config, unit: int, lists: Path) -> None:
        super().put(cfg, unit, lists)
        for part in PARTS:
            dataset = cfg[f'{part}_dataloader'].dataset.dataset
            source = 'train' if part in self.missing else part
            if part == 'test' and part not in (*self.places, *self.missing):
                source = 'val'
            dataset.data_prefix = self.places[source]
            lines = self._listed(part, source) if self.missing else None
            if lines is not None:
                self._check_names(self.places[source], lines)
                text = ''.join(f'{name} {number}\n' for name, number in lines)
                dataset.ann_file = str(
                    write(lists, f'{self.name}-{part}', '.txt', text)
                )
                dataset.classes = self.classes

    def _listed(self, part: str, source: str) -> list[Line] | None:
        """Files for a list; None if the folders say the same."""
        if part in self._lines:
            return self._lines[part]
        # Its folders would be numbered by themselves.
        folder, train = (Path(self.root, self.places[p]) for p in (source, 'train'))
        if _folders(folder) == self.classes:
            return None
        names = _classes(folder)
        unknown = [name for name in names if name not in self.classes]
        if unknown:
            raise ValueRefusal(
                f'{folder} has class folders that {train} lacks: {listed(unknown)}. '
                'Nothing is learned of them. Move them out of the folder, or add '
                'images of them for training.'
            )
        return [
            (f'{name}/{file}', self.classes.index(name))
            for name in names
            for file in images_in(folder / name)
        ]

    def _check_names(self, place: str, lines: list[Line]) -> None:
        # Lines of a list are stripped.
        bad = next((n for n, _ in lines if n != n.lstrip()), None)
        if bad is not None:
            raise ValueRefusal(
                f'{Path(self.root, place)}: the folder of the image '
                f'{bad!r} begins with a blank, which lists of names cannot have. '
                'Rename the folder.'
            )


def _folders(folder: Path) -> list[str]:
    return sorted(
        p.name for p in folder.iterdir() if p.is_dir() and not p.name.startswith('.')
    )


def _classes(folder: Path) -> list[str]:
    return [name for name in _folders(folder) if _has_images(folder / name)]


def _has_images(folder: Path, directly: bool = False) -> bool:
    """Whether there is one, in the folder itself or also in those within."""
    files = (
        (p.name for p in folder.iterdir() if p.is_file())
        if directly
        else files_in(folder)
    )
    return any(f.lower().endswith(SUFFIXES) and not f.startswith('.') for f in files)
