"""Words in the names of folders and files that say what they hold."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

# What the configs of these images read, too.
from bissl_mm.analysis.demo.images import EXTENSIONS as SUFFIXES
from bissl_mm.utils.errors import ValueRefusal

PARTS = ('train', 'val', 'test')
SPLITS = dict(
    train=('train', 'training', 'trn', 'tr'),
    val=('val', 'valid', 'validation', 'eval'),
    test=('test', 'testing', 'tst', 'ts'),
    trainval=('trainval', 'trainvalid', 'all'),
)
SPLIT_WORDS = {word: part for part, words in SPLITS.items() for word in words}
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
                for s in SPLIT_WORDS
                if word.startswith(s) and word[len(s) :] in IMAGES + MASKS
            ),
            '',
        )
        found += [split, word[len(split) :]] if split else [word]
    return found


def part_of(name: str) -> str | None:
    """The part that a name speaks of, the last one; None without."""
    return next(
        (SPLIT_WORDS[w] for w in reversed(words(name)) if w in SPLIT_WORDS), None
    )


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


def files_in(folder: str | Path) -> Iterator[str]:
    """Relative paths of the files in a folder, as a dataset of class folders finds
    them: none that is hidden, and no link to nothing."""
    top = os.path.join(folder, '')
    for place, _, files in os.walk(top, followlinks=True):
        below = place[len(top) :]
        for file in files:
            if not file.startswith('.') and os.path.isfile(os.path.join(place, file)):
                yield os.path.join(below, file)


def images_in(folder: str | Path) -> list[str]:
    """Those of them that are images, sorted."""
    return sorted(f for f in files_in(folder) if f.lower().endswith(SUFFIXES))


def left_out(folder: str | Path, within: list[str] | None = None) -> list[str]:
    """A sentence about files that are no images by their suffix, if there are any.

    Args:
        folder (str or Path): The folder.
        within (list[str], optional): Folders in it to look at. Defaults to None, for
            the whole.
    """
    others = sorted(
        os.path.join(inner, file)
        for inner in (within if within is not None else [''])
        for file in files_in(os.path.join(folder, inner))
        if not file.lower().endswith(SUFFIXES)
    )
    if not others:
        return []
    return [
        f'{folder}: files left out, because their suffix is not among '
        f'{", ".join(SUFFIXES)}: {len(others)}, first {others[0]!r}.'
    ]


def classes_within(folder: str | Path, classes: list[str]) -> list[str]:
    """A sentence about classes whose images are all in folders within, if there are
    any: those may be the classes.

    Args:
        folder (str or Path): Of a part.
        classes (list[str]): Its class folders.
    """
    names, first = [], ''
    for name in classes:
        images = images_in(os.path.join(folder, name))
        if images and all(os.sep in image for image in images):
            names.append(name)
            first = first or os.path.join(name, images[0].split(os.sep)[0])
    if not names:
        return []
    return [
        f'{folder}: the images of {len(names)} of {len(classes)} classes are in folders '
        f'within them, {first!r} for example. The outer folders are the classes here: '
        f'{listed(classes)}. If the inner ones are to be classes, lay them out without '
        'the outer ones.'
    ]


def encoded(text: str) -> bytes:
    """A list of file names, a line each, in UTF-8.

    Raises:
        ValueError: If a name is no text: that of a file from another system.
    """
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        before, after = text[: error.start], text[error.start :]
        line = before.rpartition('\n')[2] + after.partition('\n')[0]
        raise ValueRefusal(
            f'The file name in {line!r} is not in UTF-8. Rename the file.'
        ) from error


def listed(names: list[str], most: int = 6) -> str:
    """Names for a sentence."""
    return (
        ', '.join(map(repr, names[:most]))
        + (f' and {len(names) - most} more' if len(names) > most else '')
        if names
        else 'none'
    )
