"""Lists of the images of each part, as VOC's ``ImageSets``.

A line begins with the name of an image, with its folder and suffix or without.
A list is named by its part: ``train.txt``, ``splits/test_list.txt``.
"""

import re
from dataclasses import dataclass, replace
from pathlib import Path

from image_names import ImageNames
from layout_words import PARTS, listed, part_of, words
from mask_names import BySuffix, MaskPart

from bissl_mm.utils.errors import ValueRefusal

#: Of files that are read as lists.
LISTS = ('.txt', '.lst', '.csv')


@dataclass
class PartList:
    """A list of names.

    Attributes:
        path (Path): Its file.
        part (str): That it is of, which may be ``trainval``.
        found (list[str]): Images with a mask, each once.
        bare (list[str]): Lines of images that have none.
        unknown (list[str]): Lines without an image.
    """

    path: Path
    part: str
    found: list[str]
    bare: list[str]
    unknown: list[str]

    @property
    def fits(self) -> bool:
        """Most lines have an image with a mask."""
        return len(self.found) > len(self.bare) + len(self.unknown)

    @property
    def plain(self) -> bool:
        """Named by its part alone."""
        return not _rest(self.path)

    @property
    def rank(self) -> tuple[bool, bool, bool]:
        """Smaller is better, where several lists are of a part."""
        folder = {w for name in self.path.parts[:-1] for w in words(name)}
        return (
            not self.plain,
            'segmentation' not in folder,
            bool(self.bare or self.unknown),
        )


def _rest(path: Path) -> tuple[str, ...]:
    """What a list's name says beside its part."""
    return (
        *(word for word in words(path.stem) if part_of(word) is None),
        *re.findall(r'\d+', path.stem),
    )


def _read(path: Path, names: ImageNames) -> PartList:
    text = path.read_text(encoding='utf-8-sig', errors='replace')
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith('#')]
    if path.suffix.lower() == '.csv' and lines and not names.find(lines[0]):
        # Names of the columns.
        lines = lines[1:]
    found, bare, unknown = {}, [], []
    for line in lines:
        name = names.find(line)
        if name in names.masked:
            found[name] = None
        else:
            (bare if name else unknown).append(line)
    return PartList(path, part_of(path.name), [*found], bare, unknown)


def parts_by_lists(
    root: Path, whole: MaskPart, paths: list[Path]
) -> tuple[dict[str, MaskPart], list[str]]:
    """Parts of a folder of images and one of masks.

    Args:
        root (Path): Folder of the set, for messages.
        whole (MaskPart): All its images.
        paths (list[Path]): Files that may be lists of parts.

    Returns:
        tuple: By part, and notes. Both are empty without lists.

    Raises:
        ValueError: If a list names some images with a mask, but not only such;
            if it names none, though it has the name of a part alone; or if
            several lists could be a part's.
    """
    names = ImageNames(whole)
    read = [_read(path, names) for path in paths]
    read = [each for each in read if each.found or each.bare or each.unknown]
    of_part = _choose(root, read)
    if not of_part:
        return {}, _notes_of_unread(root, read, whole)
    notes = _check(root, of_part, read, whole)
    train = of_part.pop('trainval', None)
    train = of_part.pop('train', None) or train
    parts = {part: each.found for part, each in of_part.items()}
    others = {name for own in parts.values() for name in own}
    own = sorted(names.masked) if train is None else train.found
    parts['train'] = [name for name in own if name not in others]
    if not parts['train'] and not train and not any(e.plain for e in of_part.values()):
        # CelebA's list_eval_partition.txt names all images.
        return {}, [f'{root}: {_listed(of_part)} name all images and are not used.']
    if not parts['train']:
        raise ValueRefusal(
            f'{root}: {_listed(of_part)} name all images that could be for '
            'training. Leave some for it, or take what is no list out of the folder.'
        )
    notes += _notes_of_train(root, train, of_part, parts, names)
    suffix_of = {n: suffix for suffix, own in whole.names.items() for n in own}
    return {
        part: replace(whole, names=_by_suffix(own, suffix_of), without={})
        for part, own in parts.items()
    }, notes


def _notes_of_unread(root: Path, read: list[PartList], whole: MaskPart) -> list[str]:
    """Refuse lists that name nothing; pass over those that may be none."""
    for each in read:
        # Its images would be for training.
        if each.plain or each.found:
            raise _mismatch(each, whole)
    unread = [_name(root, each) for each in read]
    return [
        f'{root}: {listed(unread)} can be lists by their names, but most of their '
        'lines name no image with a mask. They are not used.'
    ] * bool(unread)


def _choose(root: Path, read: list[PartList]) -> dict[str, PartList]:
    """One list a part: the best set of lists, and sets of other parts."""
    sets: dict[tuple, list[PartList]] = {}
    for each in read:
        sets.setdefault((each.path.parent, _rest(each.path)), []).append(each)
    ranked = sorted(
        (
            (max(each.rank for each in own), own)
            for own in sets.values()
            if any(each.fits for each in own)
        ),
        key=lambda pair: pair[0],
    )
    chosen: dict[str, tuple[tuple, PartList]] = {}
    for rank, own in ranked:
        taken = {*chosen}
        if taken & {'train', 'trainval'}:
            taken |= {'train', 'trainval'}
        for each in own:
            if each.part not in chosen:
                if each.part not in taken:
                    chosen[each.part] = rank, each
                continue
            best, other = chosen[each.part]
            if best == rank and {*other.found} != {*each.found}:
                raise ValueRefusal(
                    f'{root}: {listed([_name(root, e) for e in (other, each)])} can '
                    f'each be the list of the part {each.part!r}. Leave one of them.'
                )
    order = (*PARTS, 'trainval')
    return {part: chosen[part][1] for part in order if part in chosen}


def _check(
    root: Path, of_part: dict[str, PartList], read: list[PartList], whole: MaskPart
) -> list[str]:
    """Refuse lists that fit in part, and leave out those without masks."""
    notes = []
    if 'train' in of_part:
        of_part.pop('trainval', None)
    has_train = any(
        of_part[part].found for part in ('train', 'trainval') if part in of_part
    )
    for part, each in [*of_part.items()]:
        if not each.bare and not each.unknown:
            continue
        if each.found or not has_train:
            raise _mismatch(each, whole)
        # VOC2012's test part: its masks are not published.
        del of_part[part]
        notes.append(
            f'{_name(root, each)}: none of its {len(each.bare + each.unknown)} lines '
            'names an image with a mask, so the list is not used.'
        )
    if not has_train:
        # Images of a list that is not understood would be for training.
        for each in read:
            wrong = each.bare or each.unknown
            named = each.plain or each.found
            if named and each.part not in of_part and wrong:
                raise _mismatch(each, whole)
    return notes


def _mismatch(each: PartList, whole: MaskPart) -> ValueRefusal:
    wrong = each.unknown or each.bare
    what = (
        f'name no image in {whole.images}'
        if each.unknown
        else f'name an image that has no mask in {whole.masks}'
    )
    return ValueRefusal(
        f'{each.path}: {len(wrong)} of {len(each.found + each.bare + each.unknown)} '
        f'lines {what}, {wrong[0]!r} for example. Correct these lines or take them '
        'out; if the file is no list of a part, take it out of the folder.'
    )


def _notes_of_train(
    root: Path,
    train: PartList | None,
    of_part: dict[str, PartList],
    parts: dict[str, list[str]],
    names: ImageNames,
) -> list[str]:
    if train is None:
        return [
            f'{root}: {_listed(of_part)} are lists of parts, and none is of the '
            f'training part: the {len(parts["train"])} images that they do not '
            'name are for training.'
        ]
    notes = []
    both = len(train.found) - len(parts['train'])
    if both:
        notes.append(
            f'{_name(root, train)}: {both} of its {len(train.found)} images are '
            f'in {_listed(of_part)}, too, and are not trained on.'
        )
    unused = len(names.masked) - len({n for own in parts.values() for n in own})
    if unused:
        notes.append(
            f'{root}: {unused} of {len(names.masked)} images with a mask are in '
            'none of the lists and are left out.'
        )
    return notes


def _listed(of_part: dict[str, PartList]) -> str:
    return ' and '.join(each.path.name for each in of_part.values())


def _name(root: Path, each: PartList) -> str:
    return str(each.path.relative_to(root))


def _by_suffix(names: list[str], suffix_of: dict[str, str]) -> BySuffix:
    found: BySuffix = {}
    for name in names:
        found.setdefault(suffix_of[name], []).append(name)
    return found
