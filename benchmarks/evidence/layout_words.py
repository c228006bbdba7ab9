"""Words in the names of folders and files that say what they hold."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

PARTS = ('train', 'val', 'test')
SPLITS = dict(
    train=('train', 'training', 'trn', 'tr'),
    val=('val', 'valid', 'validation', 'eval'),
    test=('test', 'testing', 'tst', 'ts'),
    trainval=('trainval', 'trainvalid', 'all'),
)
_PART_OF = {word: part for part, words in SPLITS.items() for word in words}
IMAGES = (
    'img',
    'imgs',
    'image',
    'images',
    'jpeg',
    'photos',
    'pictures',
    'rgb',
    'leftimg',
)
MASKS = (
    'ann',
    'anns',
    'annot',
    'annots',
    'anno',
    'annos',
    'annotation',
    'annotations',
    'label',
    'labels',
    'lbl',
    'mask',
    'masks',
    'gt',
    'gtfine',
    'seg',
    'segs',
    'segmentation',
    'segmentations',
    'semantic',
    'groundtruth',
    'truth',
    'target',
    'targets',
)
SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.tif', '.tiff', '.webp', '.ppm', '.pgm')
#: Below a set's folder.
DEPTH = 4


def words(name: str) -> list[str]:
    """Of ``trainannot_SegClass2017``: train, annot, seg, class."""
    found = []
    for word in re.findall(r'[A-Z]?[a-z]+|[A-Z]+(?![a-z])', name):
        word = word.lower()
        split = next(
            (
                s
                for s in _PART_OF
                if word.startswith(s) and word[len(s) :] in IMAGES + MASKS
            ),
            '',
        )
        found += [split, word[len(split) :]] if split else [word]
    return found


def part_of(name: str) -> str | None:
    """The part that a name speaks of, the last one; None without."""
    return next((_PART_OF[w] for w in reversed(words(name)) if w in _PART_OF), None)


def is_mask(names: tuple[str, ...]) -> bool | None:
    """Whether folders hold masks, by the last word that says it."""
    kinds = [
        word in MASKS
        for name in names
        for word in words(name)
        if word in MASKS + IMAGES
    ]
    return kinds[-1] if kinds else None


def folders(root: Path) -> Iterator[tuple[tuple[str, ...], list[str]]]:
    """Names from the root to each folder within, and its files, sorted."""
    for place, inner, files in os.walk(root, followlinks=True):
        names = Path(place).relative_to(root).parts
        inner[:] = (
            []
            if len(names) >= DEPTH
            else sorted(name for name in inner if not name.startswith('.'))
        )
        yield names, sorted(f for f in files if not f.startswith('.'))


def listed(names: list[str], most: int = 6) -> str:
    """Names for a sentence."""
    return (
        ', '.join(map(repr, names[:most]))
        + (f' and {len(names) - most} more' if len(names) > most else '')
        if names
        else 'none'
    )
