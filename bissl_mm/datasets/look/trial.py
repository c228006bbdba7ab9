"""Tries every split's pipeline on the images of extreme sizes."""

from typing import Any

from ...config import is_type
from ...utils.errors import refusal_in
from .findings import Look
from .headers import describe, read_header
from .parts import PartLook
from .unread import is_local


def check_pipelines(look: Look) -> None:
    """Load some images of each split as training will.

    These are the smallest, the largest, the widest and the tallest image. An
    image on which a transform fails is refused. So are samples of different
    sizes, if the loader has to stack them.
    """
    if look.refusals:
        # The trial would report again what is refused already.
        return
    for part in look:
        shapes = []
        for index, path in _extremes(part):
            shape = _tried(look, part, index, path)
            if look.refusals:
                break
            if shape:
                shapes.append((shape, path))
        _check_stacked(look, part, shapes)


def _extremes(part: PartLook) -> list[tuple[int, str]]:
    """Positions in ``whole``, and files, of readable images."""
    if not part.infos:
        # A data set without get_data_info has files that are not known.
        return []
    sized = []
    for index, info in zip(part.indices, part.infos, strict=True):
        path = info.get('img_path')
        header = read_header(path) if is_local(path) else None
        if header is not None and not header.error and min(header.size) > 0:
            sized.append((index, path, header.size))
    if not sized:
        return []
    found = [
        min(sized, key=lambda s: s[2][0] * s[2][1]),
        max(sized, key=lambda s: s[2][0] * s[2][1]),
        max(sized, key=lambda s: s[2][0] / s[2][1]),
        min(sized, key=lambda s: s[2][0] / s[2][1]),
    ]
    return list({index: (index, path) for index, path, _ in found}.values())


def _tried(look: Look, part: PartLook, index: int, path: str) -> tuple | None:
    """Shape of the sample's inputs; None if it has none."""
    try:
        sample = part.whole[index]
    except Exception as error:
        if refusal_in(error) is not None:
            look.refuse(str(refusal_in(error)))
            return None
        look.refuse(
            f'{part.key}: the pipeline fails on image {path!r} '
            f'({describe(read_header(path).size)} pixels): '
            f'{type(error).__name__}: {error}. Remove the image, or change the '
            'pipeline, for example by a Resize before a crop.'
        )
        return None
    inputs = sample.get('inputs') if isinstance(sample, dict) else None
    views = inputs if isinstance(inputs, (list, tuple)) else [inputs]
    shapes: list[Any] = [getattr(view, 'shape', None) for view in views]
    if any(shape is None for shape in shapes):
        return None
    return tuple(tuple(shape) for shape in shapes)


def _check_stacked(look: Look, part: PartLook, shapes: list[tuple[tuple, str]]) -> None:
    different = [(shape, path) for shape, path in shapes if shape != shapes[0][0]]
    size = part.loader.get('batch_size') or 1
    if not different or size < 2 or not _is_stacked(part.loader):
        return
    (first, one), (second, other) = shapes[0], different[0]
    look.refuse(
        f'{part.key}: after the pipeline {one!r} has shape {first[0]} and '
        f'{other!r} has {second[0]}, but collate_fn default_collate stacks '
        f'batches of {size}. Bring all images to one size (Resize, then '
        'CenterCrop), or set batch_size=1.'
    )


def _is_stacked(loader: Any) -> bool:
    """Whether the loader stacks a batch itself.

    Other loaders leave it to the model's preprocessor, which pads.
    """
    collate = loader.get('collate_fn')
    return is_type(collate, 'default_collate')
