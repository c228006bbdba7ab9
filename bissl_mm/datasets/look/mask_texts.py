"""Sentences about what is wrong with masks."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..seeded_dataset import ignored_ids as ids_of_data
from .headers import read_header
from .parts import PartLook

if TYPE_CHECKING:
    from .masks import Found

#: Number of names or ids in a sentence; the rest are counted.
_SHOWN = 5


def damaged_text(part: PartLook, path: str, reason: str, number: int) -> str:
    """The sentence about a mask that no decoder reads."""
    more = f' ({number} such masks so far)' if number > 1 else ''
    return (
        f"{part.key}: the mask '{path}' cannot be read ({reason}){more}. "
        'Replace the file, or remove it and its image.'
    )


def channels_text(part: PartLook, found: 'Found') -> str | None:
    """The sentence about masks with several channels."""
    if not found.channels:
        return None
    path, own = found.channels[0]
    header = read_header(path)
    if own.ndim < 3:
        remedy = (
            "Set imdecode_backend='pillow' for LoadAnnotations; Pillow "
            'reads the ids of such files'
        )
    elif _equal_colours(own):
        remedy = (
            'Its channels are equal. Keep one of them with '
            "Pillow's Image.open(FILE).getchannel(0).save(FILE)"
        )
    else:
        remedy = (
            'Colours are not ids. Write one channel with the id of each '
            'class instead of its colour'
        )
    return (
        f"{part.key}: the mask '{path}' has mode {header.mode} "
        f'({header.kind}), so the loader gives several numbers per pixel, but '
        f'a mask needs one, the id of its class '
        f'({len(found.channels)} of {found.read} masks that were read). '
        f'{remedy}.'
    )


def changed_text(part: PartLook, found: 'Found') -> str | None:
    """The sentence about masks whose ids the loader changes."""
    if not found.changed:
        return None
    path, own, decoded = found.changed[0]
    header = read_header(path)
    where = np.argwhere(own != decoded)[0]
    value, becomes = own[tuple(where)], decoded[tuple(where)]
    coding = (
        f', {header.coding[-1]} bits per pixel'
        if header.coding in ('L;2', 'L;4')
        else ''
    )
    return (
        f"{part.key}: the loader changes ids of the mask '{path}' (mode "
        f'{header.mode}{coding}): {value:g} becomes {becomes} '
        f'({len(found.changed)} of {found.read} masks that were read). '
        f'{_remedy_of_change(own, found)}'
    )


def undeclared_text(part: PartLook, found: 'Found') -> str | None:
    """The sentence about ids that belong to no class."""
    if not found.undeclared:
        return None
    ids = sorted(found.undeclared)
    path = found.undeclared[ids[0]][0]
    masks = {p for paths in found.undeclared.values() for p in paths}
    ignored = ', '.join(map(str, found.ignored)) or 'none'
    return (
        f"{part.key}: the mask '{path}' has class id(s) {ids[0]}, but "
        f'{found.classes} classes are declared (0 to {found.classes - 1}), and '
        f'ignored is {ignored}. Ids without a class: {_listed(ids)}, in '
        f'{len(masks)} of {found.read} masks that were read. '
        f'{_remedy_of_undeclared(path, found)}'
    )


def unshared_text(part: PartLook, found: 'Found') -> str | None:
    """The sentence about an id in masks that heads ignore and the data set does not."""
    known = ids_of_data(part.dataset)
    value = next(
        (
            i
            for i in found.ignored
            if found.classes <= i < 256 and found.pixels[i] and i not in known
        ),
        None,
    )
    if value is None:
        return None
    options = ', '.join(f'{key}.ignore_index={value}' for key, _ in part.leaf_cfgs())
    return (
        f'{part.key}: masks have the id {value}, which the heads ignore, but the data '
        f'set ignores {", ".join(map(str, sorted(known)))}, so the stage would end at '
        f'such a mask. Set {options}.'
    )


def unseen_text(
    part: PartLook, found: 'Found', missing: Sequence[int], complete: bool
) -> str:
    """The sentence about declared classes without a pixel."""
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
        f'{text}. Id {ignored} is ignored and covers '
        f'{found.ignored_share:.1%} of the pixels. If {ignored} stands '
        f'for {meant} instead of {ignored}.'
    )


def _listed(values: list) -> str:
    rest = len(values) - _SHOWN
    return ', '.join(map(str, values[:_SHOWN])) + (
        f' and {rest} more' if rest > 0 else ''
    )


def _equal_colours(own: np.ndarray) -> bool:
    # The last one of two or four channels is the opacity.
    colours = own[..., : own.shape[-1] - (own.shape[-1] % 2 == 0)]
    return bool((colours == colours[..., :1]).all())


def _remedy_of_change(own: np.ndarray, found: 'Found') -> str:
    if own.dtype.kind == 'f' and not np.array_equal(own, np.round(own)):
        return 'Write ids as whole numbers, in a mask of 8 bits.'
    if own.max() <= 255:
        return (
            'Write the masks with 8 bits per pixel, or set '
            "imdecode_backend='pillow' for LoadAnnotations."
        )
    for step in (257, 256):
        if (own % step == 0).all():
            return (
                f'All ids are multiples of {step}. Divide them by {step} and write '
                'masks of 8 bits.'
            )
    return (
        f'Write masks of 8 bits with ids 0 to {found.classes - 1} and the ignored id.'
    )


def _remedy_of_undeclared(path: str, found: 'Found') -> str:
    if read_header(path).kind == 'JPEG':
        return (
            'The compression of JPEG changes ids. Write masks as PNG from the '
            'original annotations.'
        )
    levels = np.flatnonzero(found.pixels)
    step = int(np.gcd.reduce(levels))
    if step > 1 and len(levels) <= found.classes:
        return (
            f'All ids are multiples of {step}, like grey levels that are made '
            f'to be seen. Divide them by {step}.'
        )
    if levels.min() > 0 and levels.max() == found.classes:
        return (
            f'Ids start at {levels.min()}. Subtract 1, or set '
            'reduce_zero_label=True for the data sets, which subtracts 1 and '
            'ignores 0.'
        )
    return (
        'Correct the masks or metainfo.classes; reduce_zero_label shifts '
        'ids by one, and ignore_index of heads and metrics names an id that '
        'is ignored.'
    )
