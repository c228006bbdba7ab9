"""Checks instance masks in COCO's files, if a pipeline loads them."""

from typing import Any

from .coco_entries import CocoFile, is_number, tell
from .findings import Look
from .parts import PartLook


def check_instance_masks(look: Look, part: PartLook, file: CocoFile) -> None:
    """Refuse annotations without the masks that ``with_mask=True`` needs.

    Masks that mmdet ignores are counted.

    Args:
        look (Look): Collects the findings.
        part (PartLook): The split with its pipeline.
        file (CocoFile): Its annotations.
    """
    asked = [t for t in part.transforms('LoadAnnotations') if t.get('with_mask')]
    if not asked:
        return
    anns, total = file.annotations, len(file.annotations)
    tell(
        look,
        file.name,
        "{} annotations have no 'segmentation', but "
        f'LoadAnnotations of {part.key}.pipeline has with_mask=True',
        [a for a in anns if not a.get('segmentation')],
        total,
        'Write the polygons or the RLE of each object, or set '
        'with_mask=False and use a model without a mask head.',
    )
    given = [a for a in anns if a.get('segmentation')]
    bad = [a for a in given if not _is_mask(a['segmentation'])]
    tell(
        look,
        file.name,
        '{} annotations have a segmentation that is neither'
        ' a list of polygons nor an RLE, for example '
        f'{str(bad[0]["segmentation"])[:40]}'
        if bad
        else '',
        bad,
        total,
        'Write [[x1, y1, x2, y2, x3, y3, ...]], a list of lists.',
    )
    images: dict[Any, dict] = {image['id']: image for image in file.images}
    bad = [a for a in given if _other_size(a, images)]
    tell(
        look,
        file.name,
        '{} annotations have an RLE of another size than '
        f'their image, for example {bad[0]["segmentation"]["size"]} '
        '(height, width)'
        if bad
        else '',
        bad,
        total,
        'Encode the mask again with "size": [height, width] of the image.',
    )
    _check_used(look, part, file, asked, given)


def _check_used(
    look: Look, part: PartLook, file: CocoFile, asked: list[dict], given: list[dict]
) -> None:
    """Count masks that mmdet ignores; refuse a file that has no others."""
    total = len(file.annotations)
    short = [a for a in given if _is_short(a)]
    _leave(part, short, total, 'masks without a polygon of three points')
    if not all(t.get('poly2mask', True) for t in asked):
        _leave(
            part,
            [
                a
                for a in given
                if isinstance(a['segmentation'], dict) and not a.get('iscrowd')
            ],
            total,
            'masks as RLE, which poly2mask=False cannot read',
        )
    if total and len(short) == total:
        look.refuse(
            f'{file.name}: none of the {total} masks has a polygon '
            'of three points (six numbers). Write [[x1, y1, x2, y2, '
            'x3, y3, ...]].'
        )


def _is_mask(mask: Any) -> bool:
    if isinstance(mask, dict):
        size = mask.get('size')
        return (
            isinstance(mask.get('counts'), (list, str))
            and isinstance(size, list)
            and len(size) == 2
        )
    return isinstance(mask, list) and all(
        isinstance(polygon, list) and all(map(is_number, polygon)) for polygon in mask
    )


def _other_size(ann: dict, images: dict[Any, dict]) -> bool:
    mask, image = ann['segmentation'], images.get(ann['image_id'])
    return (
        isinstance(mask, dict)
        and _is_mask(mask)
        and image is not None
        and list(mask['size']) != [image['height'], image['width']]
    )


def _is_short(ann: dict) -> bool:
    mask = ann['segmentation']
    return (
        isinstance(mask, list)
        and _is_mask(mask)
        and not any(len(polygon) >= 6 and len(polygon) % 2 == 0 for polygon in mask)
    )


def _leave(part: PartLook, anns: list[dict], total: int, reason: str) -> None:
    if anns:
        part.left_out.append(
            f'{len(anns)} of {total} boxes: {reason} (first '
            f'annotation: id {anns[0]["id"]!r})'
        )
