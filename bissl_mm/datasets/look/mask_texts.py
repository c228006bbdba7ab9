"""How what is wrong with masks is told."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from .headers import read_header
from .parts import PartLook

if TYPE_CHECKING:
    from .masks import Found

#: Names or ids in a sentence; the rest are counted.
_SHOWN = 5


def damaged_text(part: PartLook, path: str, reason: str, number: int) -> str:
    """A mask that no decoder reads."""
    more = f' ({number} such masks are known)' if number > 1 else ''
    return (
        f"{part.key}: the mask '{path}' cannot be read ({reason}){more}. "
        'Replace the file, or remove it and its image.'
    )


def channels_text(part: PartLook, found: 'Found') -> str | None:
    """Masks of several channels."""
    if not found.channels:
        return None
    path, own = found.channels[0]
    header = read_header(path)
    if own.ndim < 3:
        remedy = (
            "Set imdecode_backend='pillow' for LoadAnnotations, which "
            'reads the ids of such files'
        )
    elif _equal_colours(own):
        remedy = (
            'Its channels are equal: keep one of them, with '
            "Pillow's Image.open(FILE).getchannel(0).save(FILE)"
        )
    else:
        remedy = (
            'Colours are no ids: write one channel that holds the id '
            'of the class in place of its colour'
        )
    return (
        f"{part.key}: the mask '{path}' has the mode {header.mode} "
        f'({header.kind}), of which the loader makes several numbers a '
        f'pixel; a mask has one, the id of its class '
        f'({len(found.channels)} of {found.read} masks looked at). '
        f'{remedy}.'
    )


def changed_text(part: PartLook, found: 'Found') -> str | None:
    """Masks whose ids the loader changes."""
    if not found.changed:
        return None
    path, own, decoded = found.changed[0]
    header = read_header(path)
    where = np.argwhere(own != decoded)[0]
    value, becomes = own[tuple(where)], decoded[tuple(where)]
    coding = (
        f', {header.coding[-1]} bits a pixel' if header.coding in ('L;2', 'L;4') else ''
    )
    return (
        f"{part.key}: the loader changes ids of the mask '{path}' (mode "
        f'{header.mode}{coding}): {value:g} becomes {becomes} '
        f'({len(found.changed)} of {found.read} masks looked at). '
        f'{_remedy_of_change(own, found)}'
    )


def undeclared_text(part: PartLook, found: 'Found') -> str | None:
    """Ids that no class has."""
    if not found.undeclared:
        return None
    ids = sorted(found.undeclared)
    path = found.undeclared[ids[0]][0]
    masks = {p for paths in found.undeclared.values() for p in paths}
    ignored = ', '.join(map(str, found.ignored)) or 'none'
    return (
        f"{part.key}: the mask '{path}' has class id(s) {ids[0]}; ids "
        f'that no class has: {_listed(ids)}, in {len(masks)} of '
        f'{found.read} masks looked at. {found.classes} classes are '
        f'declared (0 to {found.classes - 1}), ignored: {ignored}. '
        f'{_remedy_of_undeclared(path, found)}'
    )


def unseen_text(
    part: PartLook, found: 'Found', missing: Sequence[int], complete: bool
) -> str:
    """Declared classes without a pixel."""
    names = part.classes_declared
    shown = [repr(names[i]) if i < len(names) else str(i) for i in missing]
    one = len(missing) == 1
    if complete:
        seen = f'{"has" if one else "have"} no pixel in any of {found.read} masks'
    else:
        seen = (
            f'{"was" if one else "were"} not seen in {found.read} '
            f'sampled masks of {len(part.whole)}'
        )
    text = (
        f'{part.key}: {_listed(shown)} {seen} '
        f'({len(missing)} of {found.classes} classes)'
    )
    if not found.ignored_share:
        return text + '.'
    ignored = found.ignored[-1]
    meant = (
        f'it, write its id ({missing[0]})'
        if one
        else 'one of them, write the id of that class'
    )
    return (
        f'{text}; {ignored} is ignored and covers '
        f'{found.ignored_share:.1%} of the pixels. If {ignored} stands '
        f'for {meant} in its place.'
    )


def _listed(values: list) -> str:
    rest = len(values) - _SHOWN
    return ', '.join(map(str, values[:_SHOWN])) + (
        f' and {rest} more' if rest > 0 else ''
    )


def _equal_colours(own: np.ndarray) -> bool:
    # The last of two or four channels is the opacity.
    colours = own[..., : own.shape[-1] - (own.shape[-1] % 2 == 0)]
    return bool((colours == colours[..., :1]).all())


def _remedy_of_change(own: np.ndarray, found: 'Found') -> str:
    if own.dtype.kind == 'f' and not np.array_equal(own, np.round(own)):
        return 'Ids are whole numbers: write them as such, in a mask of 8 bits.'
    if own.max() <= 255:
        return (
            'Write the masks with 8 bits a pixel, or set '
            "imdecode_backend='pillow' for LoadAnnotations."
        )
    for step in (257, 256):
        if (own % step == 0).all():
            return (
                f'All are multiples of {step}: divide them, and write masks of 8 bits.'
            )
    return (
        f'Write masks of 8 bits with ids 0 to {found.classes - 1}, or an ignored one.'
    )


def _remedy_of_undeclared(path: str, found: 'Found') -> str:
    if read_header(path).kind == 'JPEG':
        return (
            'The compression of JPEG changes ids: write masks as PNG, '
            'from the drawings.'
        )
    levels = np.flatnonzero(found.pixels)
    step = int(np.gcd.reduce(levels))
    if step > 1 and len(levels) <= found.classes:
        return (
            f'All ids are multiples of {step}, like grey levels for the '
            f'eye: divide them by {step}.'
        )
    if levels.min() > 0 and levels.max() == found.classes:
        return (
            f'Ids run from {levels.min()}: subtract 1, or set '
            'reduce_zero_label=True for the data sets, which does so and '
            'ignores 0.'
        )
    return (
        'Correct the masks or metainfo.classes; reduce_zero_label shifts '
        'ids by one, and ignore_index of heads and metrics names one '
        'that is passed over.'
    )
