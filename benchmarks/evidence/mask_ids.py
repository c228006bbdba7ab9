"""What the ids in a set's masks say about the number of classes."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from mask_names import MaskPart
from PIL import Image

from bissl_mm.utils.errors import ValueRefusal

#: Pillow's modes with one whole number of 8 bits a pixel.
_MODES = ('1', 'L', 'P')
_IGNORED = 255
#: Share of pixels near black or white, from which a mask has two grey levels.
_MOST = 0.95


def check_ids(root: str, parts: Iterable[MaskPart], num_classes: int | None) -> None:
    """Refuse ids that do not fit the number of classes, where it is plain what does.

    The look over the data refuses all others. Masks that cannot be read, and masks
    in colours, are left to it, too.

    Args:
        root (str): Folder of the set.
        parts (Iterable[MaskPart]): All its parts.
        num_classes (int, optional): What the user says; None without.

    Raises:
        ValueError: With what to type, or with Pillow's line that writes other ids.
    """
    pixels = np.zeros(256, np.int64)
    lossy = False
    for part in parts:
        lossy |= part.mask_suffix.lower().endswith(('.jpg', '.jpeg', '.jfif'))
        for names in part.names.values():
            for name in names:
                pixels += _pixels(part.masks / (name + part.mask_suffix))
    ids = {*np.flatnonzero(pixels).tolist()}
    classes = ids - {_IGNORED}
    if lossy:
        extremes = pixels[:16].sum() + pixels[-16:].sum()
        if pixels[-16:].any() and extremes > _MOST * pixels.sum():
            raise ValueRefusal(
                f'{root}: the masks are JPEG files of black and white, whose '
                'compression makes other ids. Write PNG files with the ids 0 and 1: '
                "Pillow's Image.open(FILE).convert('L').point(lambda v: v // 128)"
                '.save(PNG). Then type export BISSL_NUM_CLASSES=2.'
            )
        return
    if ids == {0, _IGNORED} and num_classes in (None, 2):
        raise ValueRefusal(
            f'{root}: the masks have the ids 0 and 255 alone, and 255 is ignored. If it '
            "stands for a class, write 1 for it, with Pillow's Image.open(FILE)"
            '.point(lambda v: v // 255).save(FILE). Then type export '
            'BISSL_NUM_CLASSES=2.'
        )
    low, high = min(classes, default=0), max(classes, default=0)
    found = f'{root}: the masks have the ids {low} to {high}'
    shifted = (
        "Pillow's Image.open(FILE).point(lambda v: v if v == 255 else (v - 1) % 256)"
        '.save(FILE)'
    )
    if not num_classes and classes:
        raise ValueRefusal(
            f'{found}, and the number of classes is not known. Type export '
            f'BISSL_NUM_CLASSES={high + 1}, if each of these ids is a class.'
        )
    if num_classes != high or len(classes) != high + 1 - low or low > 1:
        return
    if low == 1:
        raise ValueRefusal(
            f'{found}, but ids begin at 0. Subtract 1 from them, with {shifted}.'
        )
    raise ValueRefusal(
        f'{found}, but BISSL_NUM_CLASSES is {num_classes}, which is ids 0 to '
        f'{num_classes - 1}. If 0 is a class, type export BISSL_NUM_CLASSES='
        f'{num_classes + 1}. If it is none, as in ADE20K, ignore it and subtract 1 from '
        f'the others, with {shifted}.'
    )


def _pixels(path: Path) -> np.ndarray:
    """Number of pixels of each id, ``(256,)`` int64."""
    try:
        with Image.open(path) as image:
            if image.mode in _MODES:
                return np.bincount(np.array(image).ravel(), minlength=256)
    except (OSError, SyntaxError, ValueError):
        # The look names a damaged file.
        pass
    return np.zeros(256, np.int64)
