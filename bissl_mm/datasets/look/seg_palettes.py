"""Compares the colours of palette masks.

Different colours show that one id means different classes.
"""

import numpy as np
from PIL import Image

from .findings import Look

Colour = tuple[int, ...]
#: Colour -> its ids, each with a file and the key of its split.
Colours = dict[Colour, dict[int, tuple[str, str]]]


def colours_of(image: Image.Image, ids: np.ndarray) -> dict[int, Colour]:
    """The colours of the ids in a mask.

    Args:
        image (Image): An opened mask.
        ids (ndarray): Its pixels, ``(height, width)``.

    Returns:
        dict: Id -> colour. It is empty for a mask without a palette. It is also
        empty if two ids have one colour, because the colours then say nothing.
    """
    table = image.getpalette() if image.mode == 'P' else None
    if not table:
        return {}
    used = [i for i in np.unique(ids).tolist() if 3 * i + 2 < len(table)]
    colours = {i: tuple(table[3 * i : 3 * i + 3]) for i in used}
    return colours if len(set(colours.values())) == len(colours) else {}


def tell_palettes(look: Look, found: list[tuple[str, str, dict[int, Colour]]]) -> None:
    """Warn if one colour stands for several ids.

    This happens if a program wrote each mask with its own palette, or if two
    splits number their classes differently.

    Args:
        look (Look): Collects the findings.
        found (list[tuple]): Key of the split, file, and its
            :func:`colours_of`.
    """
    by_colour: Colours = {}
    for key, path, colours in found:
        for value, colour in colours.items():
            by_colour.setdefault(colour, {}).setdefault(value, (key, path))
    several = {colour: ids for colour, ids in by_colour.items() if len(ids) > 1}
    if not several:
        return
    colour, ids = next(iter(several.items()))
    (one, (key, path)), (other, (second, name)) = list(ids.items())[:2]
    where = key if key == second else f'{key} and {second}'
    look.warn(
        f"{where}: the colour {colour} is id {one} in the mask '{path}' and "
        f"id {other} in '{name}' ({len(several)} of {len(by_colour)} palette "
        'colours have several ids). The loader reads the ids, not the colours. '
        'If a colour means a class, write all masks with one palette.'
    )
