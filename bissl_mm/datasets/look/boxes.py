"""Compares the sizes of images with the annotated sizes."""

import os.path as osp
import random
from typing import NamedTuple

from .findings import Look
from .headers import TURNS, Header, describe, read_header
from .parts import MAX_HEADERS, PartLook

#: Pixels by which rounding may change a size or move a box out of its image.
MARGIN = 2
#: If a larger share of boxes is outside of its image, all boxes are doubtful.
MOSTLY = 0.5


class Annotated(NamedTuple):
    """An image as an annotation describes it.

    Args:
        path (str): The image file.
        size (tuple[int, int]): Annotated width and height.
    """

    path: str
    size: tuple[int, int]


class Wrong(NamedTuple):
    """An image whose size differs from the annotated one.

    Args:
        image (Annotated): The image.
        header (Header): The header of its file.
        decoded (tuple[int, int]): Width and height after loading.
    """

    image: Annotated
    header: Header
    decoded: tuple[int, int]


def check_sizes(look: Look, part: PartLook, name: str, images: list[Annotated]) -> None:
    """Refuse images whose decoded size is not the annotated one.

    Their boxes would be beside the objects.

    Args:
        look (Look): Collects the findings.
        part (PartLook): The split, with the transform that loads its images.
        name (str): Key and file of the annotations.
        images (list[Annotated]): The images. The headers of ``MAX_HEADERS`` of
            them are read, chosen by a seed, or of all.
    """
    loaders = part.transforms('LoadImageFromFile')
    if not loaders or loaders[0].get('backend_args'):
        return
    flag = loaders[0].get('color_type', 'color')
    backend = loaders[0].get('imdecode_backend', 'cv2')
    if not part.everything and len(images) > MAX_HEADERS:
        images = random.Random(0).sample(images, MAX_HEADERS)
    wrong, near, same = [], [], []
    for image in images:
        header = read_header(image.path)
        if header.error:
            # The check of the files reports it.
            continue
        decoded = header.decoded_size(flag, backend)
        found = Wrong(image, header, decoded)
        if decoded != image.size:
            by = max(abs(a - b) for a, b in zip(decoded, image.size, strict=True))
            (wrong if by > MARGIN else near).append(found)
        elif header.is_turned(flag, backend) and (
            header.orientation < 5 or decoded[0] == decoded[1]
        ):
            same.append(found)
    if wrong:
        _refuse(look, name, wrong, len(images))
    if near:
        image, header, decoded = near[0]
        look.warn(
            f'{name}: {len(near)} of {len(images)} images are a pixel or two '
            f'larger or smaller than annotated: {image.path!r} is '
            f'{describe(decoded)} after decoding, but {describe(image.size)} in '
            'the annotations. If the images were resized after they were '
            'annotated, scale the boxes.'
        )
    if same:
        look.warn(
            f'{name}: {len(same)} of {len(images)} images, for example '
            f'{osp.basename(same[0].image.path)!r}, are '
            f'{TURNS[same[0].header.orientation]} when they are loaded, because '
            'of their EXIF data. Their size does not tell whether the boxes '
            'fit. Check with tools/browse_dataset.py.'
        )


def _refuse(look: Look, name: str, wrong: list[Wrong], total: int) -> None:
    """Refuse images that EXIF turns, and the others, with their remedies."""
    turned = [
        each
        for each in wrong
        if each.header.orientation > 1 and each.image.size == each.header.size
    ]
    rest = [each for each in wrong if each not in turned]
    if turned:
        image, header, decoded = turned[0]
        look.refuse(
            f'{name}: {len(turned)} of {total} images are annotated as their '
            f'pixels are stored, but are loaded {TURNS[header.orientation]} '
            f'(EXIF orientation {header.orientation}): {image.path!r} is '
            f'{describe(decoded)} after decoding, but {describe(image.size)} in '
            'the annotations. Set '
            "color_type='color_ignore_orientation' in every "
            'LoadImageFromFile of the data sets, or remove the orientation '
            'from the files.'
        )
    if rest:
        image, header, decoded = rest[0]
        swapped = image.size == decoded[::-1]
        remedy = (
            f'Width and height are swapped: write width {decoded[0]} and '
            f'height {decoded[1]}.'
            if swapped
            else 'Write the size of the image, and boxes in its pixels.'
        )
        exif = f' (EXIF: {TURNS[header.orientation]})' if header.orientation > 1 else ''
        look.refuse(
            f'{name}: {len(rest)} of {total} images differ in size from their '
            f'annotations: {image.path!r} is {describe(decoded)} after '
            f'decoding{exif}, but {describe(image.size)} in the annotations. '
            f'{remedy}'
        )


def check_classes_with_boxes(look: Look) -> None:
    """Warn about declared classes without a box in a split."""
    for part in look:
        counts = {
            name: titles['boxes']
            for name, titles in part.classes.items()
            if 'boxes' in titles
        }
        absent = [name for name, number in counts.items() if not number]
        if not absent or len(absent) == len(counts):
            continue
        names = ', '.join(map(repr, absent[:8])) + ', ...' * (len(absent) > 8)
        what = (
            'cannot be learnt'
            if part.name == 'train'
            else 'are not measured, and the mean is that of the other classes'
        )
        look.warn(
            f'{part.key}: {len(absent)} of {len(counts)} classes have no box '
            f'({names}): they {what}.'
        )
