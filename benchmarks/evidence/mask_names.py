"""Which mask belongs to which image, by their names."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from layout_words import listed, words
from PIL import Image

from bissl_mm.utils.errors import ValueRefusal

#: Names of files, without their suffix, by the suffix.
BySuffix = dict[str, list[str]]
#: Masks of single objects, and masks to look at, lie beside those of classes.
_OTHERS = {
    *('object', 'objects', 'instance', 'instances'),
    *('color', 'colors', 'colour', 'colours', 'colored', 'coloured'),
}


@dataclass
class MaskPart:
    """A part of a set.

    Attributes:
        images, masks (Path): Its folders.
        mask_suffix (str): What stands in the masks' names in place of the
            images' suffix.
        names (dict[str, list[str]]): By suffix of the images, their paths
            without it.
        without (dict[str, list[str]]): Images that have no mask, likewise.
    """

    images: Path
    masks: Path
    mask_suffix: str
    names: BySuffix = field(default_factory=dict)
    without: BySuffix = field(default_factory=dict)

    @property
    def number(self) -> int:
        """Images with a mask."""
        return sum(map(len, self.names.values()))


def of_classes(name: str) -> bool:
    """Whether a name of masks speaks neither of objects nor of colours."""
    return not _OTHERS & {*words(name)}


def are_masks(part: MaskPart) -> bool:
    """Whether the first mask has one number a pixel."""
    name = next(iter(part.names.values()))[0] + part.mask_suffix
    try:
        with Image.open(part.masks / name) as image:
            return image.mode in ('L', 'P', '1', 'I', 'I;16', 'I;16B')
    except OSError:
        return True


def named_alike(
    images: list[str], masks: list[str]
) -> tuple[str, BySuffix, BySuffix] | None:
    """The masks' suffix, and the images with a mask and without, if most
    images have one or most masks an image."""
    by_dot = [(name[: -len(Path(name).suffix)], Path(name).suffix) for name in images]
    # x_leftImg8bit.png has the mask x_mask.png.
    ends = {'_' + stem.rpartition('_')[2] for stem, _ in by_dot if '_' in stem}
    held = {*masks}
    for end in ['', *(ends if len(ends) == 1 else ())]:
        stems = [(stem.removesuffix(end), end + suffix) for stem, suffix in by_dot]
        suffix = _suffix([stem for stem, _ in stems], masks)
        if suffix:
            names: BySuffix = {}
            without: BySuffix = {}
            for stem, own in stems:
                kind = names if stem + suffix in held else without
                kind.setdefault(own, []).append(stem)
            return suffix, names, without
    return None


def _suffix(stems: list[str], masks: list[str]) -> str | None:
    """What follows in a mask's name after that of its image."""
    known, covered = {*stems}, set()
    rests: Counter[str] = Counter()
    for mask in masks:
        cut = next((k for k in range(len(mask) - 1, 0, -1) if mask[:k] in known), 0)
        # x1 is no image of the mask x10.png.
        if cut and not mask[cut].isdigit() and '/' not in mask[cut:]:
            rests[mask[cut:]] += 1
            covered.add(mask[:cut])
    best = [rest for rest, number in rests.most_common() if 2 * number > len(covered)]
    if not best:
        if 2 * len(covered) > len(known):
            raise ValueRefusal(
                f'The masks of {min(covered)!r} and of the other images end in '
                f'{listed(sorted(rests))}. Let all end alike.'
            )
        return None
    if 2 * rests[best[0]] <= len(known) and 2 * sum(map(rests.get, best)) <= len(masks):
        return None
    # Cityscapes has several masks of an image, these to be trained on.
    best = [rest for rest in best if of_classes(rest)] or best
    best = [rest for rest in best if 'trainids' in rest.lower()] or best
    if len(best) > 1:
        raise ValueRefusal(
            f'The image {min(covered)!r} has several masks, which end in '
            f'{listed(sorted(best))}. Leave one kind in the folder.'
        )
    return best[0]
