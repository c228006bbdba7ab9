"""Finds masks that lie beside their images and are read as images, too."""

import os.path as osp
import re

from .findings import Look
from .headers import read_header
from .unread import is_local

#: What names of masks have after the name of their image.
_ENDING = re.compile(r'[ _.-](annot|gt|label|mask|seg|superpixel)\w*$', re.IGNORECASE)
_COLOURED = ('RGB', 'RGBA', 'CMYK', 'YCbCr')


def check_masks_among_images(look: Look) -> None:
    """Warn about images of one channel with the name of a colour image beside them.

    An image folder takes every file with one of its suffixes, so masks in the same
    folder would be trained on and evaluated.
    """
    for part in look:
        given = [info.get('img_path') for info in part.infos]
        paths = list(dict.fromkeys(path for path in given if is_local(path)))
        named: dict[str, str] = {}
        others = []
        for path in paths:
            if read_header(path).mode in _COLOURED:
                named[osp.splitext(path)[0]] = path
            else:
                others.append(path)
        pairs = [
            (path, named[stem])
            for path in others
            for stem in [_ENDING.sub('', osp.splitext(path)[0])]
            if stem in named
        ]
        if pairs:
            mask, image = pairs[0]
            look.warn(
                f'{part.key}: {len(pairs)} of {len(paths)} images have one channel and '
                f'the name of a colour image beside them (first: {mask!r} beside '
                f'{image!r}). They seem to be masks, and are read as images. Move masks '
                'to another folder.'
            )
