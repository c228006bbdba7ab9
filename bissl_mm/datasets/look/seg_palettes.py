"""Colours of palette masks, which tell when ids mean different classes."""

import numpy as np
from PIL import Image

from .findings import Look

Colour = tuple[int, ...]
#: Ids by their colour, each with a file and the key of its part.
Colours = dict[Colour, dict[int, tuple[str, str]]]


def colours_of(image: Image.Image, ids: np.ndarray) -> dict[int, Colour]:
    """The colours of the ids that a mask uses.

    Args:
        image (Image): An opened mask.
        ids (ndarray): Its pixels, ``(height, width)``.

    Returns:
        dict: Colour by id; empty for a mask without a palette, or one that
        shows two of its ids alike, whose colours mean nothing.
    """
    table = image.getpalette() if image.mode == 'P' else None
    if not table:
        return {}
    used = [i for i in np.unique(ids).tolist() if 3 * i + 2 < len(table)]
    colours = {i: tuple(table[3 * i : 3 * i + 3]) for i in used}
    return colours if len(set(colours.values())) == len(colours) else {}


def tell_palettes(look: Look, found: list[tuple[str, str, dict[int, Colour]]]) -> None:
    """Warn where one colour stands for several ids.

    So it is where a program gave each mask a palette of its own, or where
    two parts number their classes differently.

    Args:
        look (Look): Gets the warning.
        found (list[tuple]): Key of the part, file and :func:`colours_of` it.
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
        f"id {other} in '{name}' ({len(several)} of {len(by_colour)} colours "
        'of palettes have several ids). A loader reads the ids, not the '
        'colours: if a colour is a class, write all masks with one palette.'
    )
