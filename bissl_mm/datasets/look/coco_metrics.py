"""Metrics of detection: do they measure the data that they are given?"""

from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

from .boxes import MOSTLY
from .coco_entries import CocoFile, plain, tell
from .findings import Look
from .parts import PartLook, type_name

#: Detectors that give boxes only unless they have a mask head.
_BOXES_ONLY = (
    'FasterRCNN',
    'FastRCNN',
    'CascadeRCNN',
    'RetinaNet',
    'FCOS',
    'ATSS',
    'GFL',
    'YOLOX',
    'YOLOV3',
    'SSD',
    'SingleStageDetector',
    'DETR',
    'DeformableDETR',
    'DINO',
)


class Part(NamedTuple):
    """A part and the COCO files of its datasets."""

    part: PartLook
    files: list[CocoFile]


def metrics_of(look: Look, name: str) -> Iterator[tuple[str, dict]]:
    """Dotted keys and configs of a part's metrics."""
    key = f'{name}_evaluator'
    found = look.cfg.get(key)
    if isinstance(found, dict) and isinstance(found.get('metrics'), (list, tuple)):
        key, found = f'{key}.metrics', found['metrics']
    if isinstance(found, (list, tuple)):
        yield from (
            (f'{key}.{i}', each)
            for i, each in enumerate(found)
            if isinstance(each, dict)
        )
    elif isinstance(found, dict):
        yield key, found


def check_metric_settings(look: Look) -> None:
    """Metrics that stop at the first validation with these pipelines or this
    model."""
    for name in ('val', 'test'):
        part = look.parts.get(name)
        for key, cfg in metrics_of(look, name) if part else ():
            kind = type_name(cfg)
            if kind == 'VOCMetric' and not part.transforms('LoadAnnotations'):
                look.refuse(
                    f'{key}: VOCMetric compares with the boxes of the '
                    f'samples, but {part.key}.pipeline does not load them. '
                    "Add dict(type='LoadAnnotations', with_bbox=True) before "
                    'PackDetInputs.'
                )
            if kind == 'CocoMetric':
                _check_source(look, part, key, cfg)
                _check_segm(look, key, cfg)


def check_metric_file(look: Look, owner: Part, file: CocoFile, cfg: dict) -> None:
    """Refuse annotations that pycocotools stops at, and those of other images
    than the part's.

    Args:
        look (Look): Gets what is wrong.
        owner (Part): The part that is measured.
        file (CocoFile): ``ann_file`` of the metric.
        cfg (dict): The metric.
    """
    total = len(file.annotations)
    tell(
        look,
        file.name,
        "{} annotations have no 'iscrowd', which "
        'pycocotools needs at the first validation',
        [a for a in file.annotations if a.get('iscrowd') is None],
        total,
        'Write "iscrowd": 0 in each.',
    )
    tell(
        look,
        file.name,
        '{} annotations have the id 0: pycocotools counts '
        'a detection that matches it as false',
        [a for a in file.annotations if plain(a['id']) == 0],
        total,
        'Number the annotations from 1.',
        look.warn,
    )
    tell(
        look,
        file.name,
        '{} annotations have an id that is no number, at '
        'which pycocotools stops at the first validation',
        [a for a in file.annotations if isinstance(plain(a['id']), str)],
        total,
        'Number the annotations from 1.',
    )
    if 'segm' in _names(cfg):
        tell(
            look,
            file.name,
            "{} annotations have no 'segmentation', which "
            f"{file.key.rpartition('.')[0]}.metric='segm' needs",
            [a for a in file.annotations if not a.get('segmentation')],
            total,
            "Write the polygons or the RLE, or take 'segm' out.",
        )
    if any(each.path == file.path for each in owner.files):
        return
    _check_images(look, owner, file)


def _check_images(look: Look, owner: Part, file: CocoFile) -> None:
    mine = {i['id']: i['file_name'] for each in owner.files for i in each.images}
    its = {i['id']: i['file_name'] for i in file.images}
    other = owner.files[0].path
    absent = [i for i in mine if i not in its]
    if absent:
        look.refuse(
            f'{file.name} does not have {len(absent)} of the {len(mine)} '
            f'images of {owner.part.key} ({other!r}), id {absent[0]!r} for '
            f'example. Name the same file in both.'
        )
        return
    differ = [i for i in mine if mine[i] != its[i]]
    if differ:
        look.refuse(
            f'{file.name} has {its[differ[0]]!r} as image {differ[0]!r}, '
            f'{owner.part.key} ({other!r}) has {mine[differ[0]]!r}: '
            f'{len(differ)} images would be measured with the boxes of '
            'another one. Name the same file in both.'
        )
        return
    if len(its) > len(mine):
        look.refuse(
            f'{file.name} has {len(its)} images, {owner.part.key} '
            f'({other!r}) has {len(mine)} of them: the boxes of the others '
            'would count as missed. Name the same file in both.'
        )
        return
    _check_same_boxes(look, owner, file)


def _check_same_boxes(look: Look, owner: Part, file: CocoFile) -> None:
    """Two files of the same images: are their boxes the same?"""
    mine = Counter(
        map(_signature, (a for each in owner.files for a in each.annotations))
    )
    its = Counter(map(_signature, file.annotations))
    differ = sum((its - mine).values())
    text = (
        f'{file.name} has {sum(its.values())} boxes, {owner.part.key} '
        f'({owner.files[0].path!r}) has {sum(mine.values())}'
    )
    if differ > MOSTLY * sum(its.values()):
        look.refuse(
            f'{text}, and {differ} of the first are not among the '
            'second: the metric would measure with other boxes. Name '
            'the same file in both.'
        )
    elif differ or its != mine:
        look.warn(
            f'{text}, and {differ} of the first are not among the '
            'second: the metric does not measure what the samples '
            'show.'
        )


def _signature(ann: dict) -> tuple:
    return str(plain(ann['image_id'])), tuple(
        round(float(value)) for value in ann['bbox']
    )


def _check_source(look: Look, part: PartLook, key: str, cfg: dict) -> None:
    """Without a file, mmdet takes the boxes from the samples."""
    if cfg.get('ann_file') is not None or cfg.get('format_only'):
        return
    for pack in part.transforms('PackDetInputs'):
        if 'instances' not in tuple(pack.get('meta_keys') or ()):
            look.refuse(
                f'{key}: CocoMetric has no ann_file and the samples of '
                f'{part.key} carry no boxes. Set {key}.ann_file to the '
                "annotation file, or add 'instances' to meta_keys of "
                'PackDetInputs.'
            )
            return


def _check_segm(look: Look, key: str, cfg: dict) -> None:
    if 'segm' not in _names(cfg):
        return
    model = look.cfg.get('model') or {}
    model = model.get('downstream') or model
    if type_name(model) in _BOXES_ONLY and not _has_mask_head(model):
        look.refuse(
            f"{key}.metric has 'segm', but {type_name(model)} gives boxes "
            f"only. Set {key}.metric='bbox', or use a model with masks, "
            'MaskRCNN for example.'
        )


def _has_mask_head(node: Any) -> bool:
    if isinstance(node, dict):
        return any('mask' in str(key) and value for key, value in node.items()) or any(
            _has_mask_head(value) for value in node.values()
        )
    if isinstance(node, (list, tuple)):
        return any(_has_mask_head(value) for value in node)
    return 'Mask' in node if isinstance(node, str) else False


def _names(cfg: dict) -> list[str]:
    metric = cfg.get('metric', 'bbox')
    return [metric] if isinstance(metric, str) else list(metric or ())
