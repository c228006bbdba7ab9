"""Checks values of decoded images.

Reported are dark images, and images of more than 8 bits with a small range.
"""

import math
from typing import NamedTuple

import mmcv
import numpy as np

from .findings import Look
from .headers import Header, read_header
from .parts import PartLook

#: Images are dark if no value is larger than this, of 255.
_DARK = 31


class Pixels(NamedTuple):
    """Values of a decoded image.

    Args:
        path (str): Its file.
        low, high (int): Smallest and largest value after loading.
        levels (int): Number of different values, if the file has more than 8 bits
            per channel; else 0. To count them takes seconds for a photograph.
        stored (tuple): Smallest and largest value in the file, if it has more
            than 8 bits per channel; else empty.
        alpha (bool): Whether the file has transparent pixels.
    """

    path: str
    low: int
    high: int
    levels: int
    stored: tuple[float, ...] = ()
    alpha: bool = False


def decoded(path: str, flag: str, backend: str) -> np.ndarray | None:
    """The image from mmcv's loader; None if it fails."""
    try:
        with open(path, 'rb') as file:
            return mmcv.imfrombytes(file.read(), flag=flag, backend=backend)
    except Exception:
        # A decoder may raise any error on damaged bytes.
        return None


def pixels_of(path: str, image: np.ndarray) -> Pixels:
    header = read_header(path)
    stored, alpha, levels = (), False, 0
    if _is_deep(header):
        raw = decoded(path, 'unchanged', 'cv2')
        if raw is not None and raw.dtype != np.uint8:
            raw = raw[..., :3] if raw.ndim == 3 else raw
            stored = (raw.min().item(), raw.max().item())
            levels = len(np.unique(image))
    elif header.mode in ('RGBA', 'LA', 'PA', 'P'):
        raw = decoded(path, 'unchanged', 'cv2')
        alpha = (
            raw is not None
            and raw.ndim == 3
            and raw.shape[2] == 4
            and raw[..., 3].min() < 255
        )
    return Pixels(path, int(image.min()), int(image.max()), levels, stored, alpha)


def _is_deep(header: Header) -> bool:
    return header.mode[0] in 'IF' or any(
        bits in header.coding for bits in (';16', ';12', ';32')
    )


def tell_depth(look: Look, part: PartLook, deep: list[Pixels], backend: str) -> None:
    if not deep:
        return
    low = min(p.stored[0] for p in deep)
    high = max(p.stored[1] for p in deep)
    seen_low, seen = min(p.low for p in deep), max(p.high for p in deep)
    levels = max(p.levels for p in deep)
    whole = isinstance(high, int)
    bits = math.ceil(math.log2(high + 1)) if whole and high > 0 else 0
    # cv2 keeps the upper 8 of 16 bits. Pillow cuts values above 255 off.
    cut = backend == 'pillow' and high > 255 and seen == 255
    if not cut and whole and bits > 14 and levels > 128:
        return
    text = (
        f'{part.key}: {len(deep)} images whose pixels were read have '
        f'more than 8 bits per channel, with values {low:g} to {high:g}'
        + (f' ({bits} of 16 bits are used)' if whole else '')
        + f' (first: {deep[0].path!r}). Loaded with imdecode_backend='
        f'{backend!r} they become {seen_low} to {seen}'
    )
    text += (
        ', and all values above 255 are cut off. '
        if cut
        else (f', at most {levels} of 256 grey levels per image. ')
    )
    factor = 2 ** (16 - bits) if whole and 0 < bits < 16 else 0
    text += (
        'Save them with 8 bits per channel, 0 to 255'
        + (f', or multiply them by {factor}' if factor and not cut else '')
        + '.'
    )
    if seen_low == seen and low < high:
        look.refuse(text + ' Now every image has only one colour.')
    else:
        look.warn(text)


def tell_dark(look: Look, part: PartLook, found: list[Pixels]) -> None:
    high = max((p.high for p in found), default=255)
    if high <= _DARK:
        look.warn(
            f'{part.key}: all {len(found)} images whose pixels were read are '
            f'almost black, with values 0 to {high} of 255 (first: '
            f'{found[0].path!r}). They may be masks, or images of fewer bits. '
            'Save images with values from 0 to 255.'
        )
