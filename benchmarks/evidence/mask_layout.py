"""Sets in mmseg's format, as publishers lay them out.

A folder of images and one of masks for each part: ``img_dir/train`` and
``ann_dir/train``, ``train/images`` and ``train/masks``, ``train`` and
``trainannot``; or one of each with lists of the parts, as VOC has it.
"""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from layout_words import PARTS, SUFFIXES, folders, is_mask, listed, part_of
from PIL import Image

from bissl_mm.utils.errors import FileNotFoundRefusal, ValueRefusal

Names = tuple[str, ...]
_FORMS = (
    'img_dir/train with ann_dir/train, images/train with labels/train '
    'or train/images with train/masks'
)


@dataclass
class MaskPart:
    """A part of a set.

    Attributes:
        images, masks (Path): Its folders.
        names (dict[str, list[str]]): By suffix of the images, their paths
            without it.
        mask_suffix (str): What stands in its place in the masks' names.
    """

    images: Path
    masks: Path
    mask_suffix: str
    names: dict[str, list[str]] = field(default_factory=dict)

    @property
    def number(self) -> int:
        """Images."""
        return sum(map(len, self.names.values()))


def find_masks(root: Path) -> dict[str, MaskPart]:
    """The parts of a set that have masks.

    Args:
        root (Path): Folder of the set.

    Returns:
        dict[str, MaskPart]: By part; ``train`` is among them. Empty if there
        are no folders of masks.

    Raises:
        ValueError: If several folders could be the masks of a part.
        FileNotFoundError: If masks have no images, or the other way round.
    """
    tops: dict[tuple[str, bool], dict[Names, list[str]]] = {}
    lists: dict[str, list[Path]] = {}
    for names, files in folders(root):
        for file in files:
            if file.endswith('.txt') and part_of(file):
                lists.setdefault(part_of(file), []).append(root.joinpath(*names, file))
        pictures = [f for f in files if f.lower().endswith(SUFFIXES)]
        if not pictures:
            continue
        top = _top(names)
        part = next((p for p in map(part_of, reversed(top)) if p), 'all')
        below = names[len(top) :]
        tops.setdefault((part, bool(is_mask(top))), {}).setdefault(top, []).extend(
            '/'.join((*below, f)) for f in pictures
        )
    # Images may be in folders of their part, with all masks in one.
    masks = {
        part: tops.get((part, True)) or tops.get(('all', True))
        for part, mask in sorted(tops, key=_order)
        if not mask
    }
    found = {
        part: _pair(root, part, tops[part, False], own)
        for part, own in masks.items()
        if own
    }
    if not found:
        return {}
    if 'train' not in found and {'trainval', 'all'} & {*found}:
        whole = found.get('trainval') or found['all']
        found.update(_by_lists(root, whole, lists) or dict(train=whole))
    if 'train' not in found:
        raise FileNotFoundRefusal(
            f'{root} has images and masks of {listed(sorted(found))}, but no '
            f'training part: {_FORMS}, for example. Rename its folders.'
        )
    return {part: found[part] for part in PARTS if part in found}


def _order(key: tuple[str, bool]) -> int:
    """Refusals speak of the training part first."""
    return (*PARTS, 'trainval', 'all').index(key[0])


def _top(names: Names) -> Names:
    """Folders down to the one that says part and kind for the last time;
    cities or sequences lie below."""
    last = max(
        (
            i
            for i, name in enumerate(names, 1)
            if part_of(name) or is_mask((name,)) is not None
        ),
        default=0,
    )
    return names[:last]


def _pair(
    root: Path, part: str, images: dict[Names, list[str]], masks: dict[Names, list[str]]
) -> MaskPart:
    """The one folder of images whose names one folder of masks has."""
    fits = []
    for image, own in images.items():
        for mask, theirs in masks.items():
            pair = _named_alike(own, theirs)
            if pair:
                fits.append(
                    MaskPart(root.joinpath(*image), root.joinpath(*mask), *pair)
                )
    if len(fits) == 1:
        return fits[0]
    if fits:
        raise ValueRefusal(
            f'{root}: several folders can be the part {part!r}: '
            + '; '.join(
                f'{each.images.relative_to(root)} with {each.masks.relative_to(root)}'
                for each in fits
            )
            + '. Leave one pair in the folder.'
        )
    image, mask = (min(each) for each in (images, masks))
    raise FileNotFoundRefusal(
        f'{root.joinpath(*mask)} has no masks with the names of the images in '
        f'{root.joinpath(*image)}: there is {masks[mask][0]!r} for example, '
        f'here {images[image][0]!r}. Name a mask as its image.'
    )


def _named_alike(
    images: list[str], masks: list[str]
) -> tuple[str, dict[str, list[str]]] | None:
    """The masks' suffix, and names by the images' suffix."""
    by_dot = [(name[: -len(Path(name).suffix)], Path(name).suffix) for name in images]
    # x_leftImg8bit.png has the mask x_mask.png.
    ends = {'_' + stem.rpartition('_')[2] for stem, _ in by_dot if '_' in stem}
    for end in ['', *(ends if len(ends) == 1 else ())]:
        stems = [
            (stem[: len(stem) - len(end)], end + suffix) for stem, suffix in by_dot
        ]
        suffix = _suffix([stem for stem, _ in stems[:100]], masks)
        if suffix:
            names: dict[str, list[str]] = {}
            for stem, own in stems:
                names.setdefault(own, []).append(stem)
            return suffix, names
    return None


def _suffix(stems: list[str], masks: list[str]) -> str | None:
    """What follows in a mask's name after that of its image, if most images
    have such a mask."""
    rests = Counter(
        mask[len(stem) :] for stem in stems for mask in masks if mask.startswith(stem)
    )
    best = [rest for rest, number in rests.most_common() if 2 * number > len(stems)]
    # Cityscapes has several masks of an image, these to be trained on.
    best = [rest for rest in best if 'trainids' in rest.lower()] or best
    if len(best) > 1:
        raise ValueRefusal(
            f'The image {stems[0]!r} has several masks, which end in '
            f'{listed(sorted(best))}. Leave one kind in the folder.'
        )
    return best[0] if best else None


def _by_lists(
    root: Path, whole: MaskPart, lists: dict[str, list[Path]]
) -> dict[str, MaskPart]:
    """Parts by lists of names, as VOC's ImageSets."""
    suffix_of = {
        name: suffix for suffix, names in whole.names.items() for name in names
    }
    found: dict[str, MaskPart] = {}
    for part in PARTS:
        fits = []
        for path in lists.get(part, ()):
            names = [
                line.split()[0]
                for line in path.read_text(errors='replace').splitlines()
                if line.strip()
            ]
            names = [Path(n).stem if n not in suffix_of else n for n in names]
            if names and all(n in suffix_of for n in names):
                fits.append((path, names))
        if len(fits) > 1:
            raise ValueRefusal(
                f'{root}: {listed([str(p) for p, _ in fits])} can each be '
                f'the list of the part {part!r}. Leave one of them.'
            )
        if fits:
            own: dict[str, list[str]] = {}
            for name in fits[0][1]:
                own.setdefault(suffix_of[name], []).append(name)
            found[part] = MaskPart(whole.images, whole.masks, whole.mask_suffix, own)
    return found if 'train' in found else {}


def are_masks(part: MaskPart) -> bool:
    """Whether the first mask has one number a pixel."""
    name = next(iter(part.names.values()))[0] + part.mask_suffix
    try:
        with Image.open(part.masks / name) as image:
            return image.mode in ('L', 'P', '1', 'I', 'I;16', 'I;16B')
    except OSError:
        return True
