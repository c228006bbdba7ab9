"""Sizes of images against those that their boxes were drawn on."""

import os.path as osp
import random
from typing import NamedTuple

from .findings import Look
from .headers import TURNS, Header, describe, read_header
from .parts import MAX_HEADERS, PartLook

#: Pixels by which sizes may differ and boxes reach out by rounding.
MARGIN = 2
#: Share of boxes outside of their images above which all are in doubt.
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
    """An image that is not of its annotated size.

    Args:
        image (Annotated): The image.
        header (Header): Of the file.
        decoded (tuple[int, int]): Width and height as it is loaded.
    """

    image: Annotated
    header: Header
    decoded: tuple[int, int]


def check_sizes(look: Look, part: PartLook, name: str, images: list[Annotated]) -> None:
    """Refuse images whose decoded size is not the annotated one: the boxes
    lie beside the objects.

    Args:
        look (Look): Gets what is wrong.
        part (PartLook): The part, with the transform that loads its images.
        name (str): Key and file of the annotations.
        images (list[Annotated]): Of a seeded choice of ``MAX_HEADERS`` the
            headers are read, or of all.
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
            # Told where files are looked at.
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
            f'{describe(decoded)} after decoding, annotated '
            f'{describe(image.size)}. Were they resized after they were '
            'annotated?'
        )
    if same:
        look.warn(
            f'{name}: {len(same)} of {len(images)} images are '
            f'{TURNS[same[0].header.orientation]} by their EXIF when they are'
            f' loaded, {osp.basename(same[0].image.path)!r} for example, and '
            'keep their size: see with tools/browse_dataset.py whether their '
            'boxes fit.'
        )


def _refuse(look: Look, name: str, wrong: list[Wrong], total: int) -> None:
    """Those that EXIF turns first: their remedy is another one."""
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
            f'pixels are stored, but loaded {TURNS[header.orientation]} by '
            f'EXIF (orientation {header.orientation}): {image.path!r} is '
            f'{describe(decoded)} after decoding, annotated '
            f'{describe(image.size)}. Set '
            "color_type='color_ignore_orientation' in every "
            'LoadImageFromFile of the data sets, or remove the orientation '
            'from the files.'
        )
    if rest:
        image, header, decoded = rest[0]
        swapped = image.size == decoded[::-1]
        remedy = (
            f'Width and height are swapped: write width {decoded[0]}, '
            f'height {decoded[1]}.'
            if swapped
            else 'Write the size of the file, and boxes in its pixels.'
        )
        exif = f' (EXIF: {TURNS[header.orientation]})' if header.orientation > 1 else ''
        look.refuse(
            f'{name}: {len(rest)} of {total} images have another size than '
            f'annotated: {image.path!r} is {describe(decoded)} after '
            f'decoding{exif}, annotated {describe(image.size)}. {remedy}'
        )


def check_classes_with_boxes(look: Look) -> None:
    """Warn of declared classes that no box of a part is of."""
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
            else 'are not measured, the mean is that of the others'
        )
        look.warn(
            f'{part.key}: no box of {len(absent)} of {len(counts)} '
            f'classes, {names}: they {what}.'
        )
