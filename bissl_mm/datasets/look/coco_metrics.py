"""Checks that metrics of detection measure the data that they get."""

from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

from .boxes import MOSTLY
from .coco_entries import CocoFile, plain, tell
from .findings import Look
from .parts import PartLook, type_name

#: Detectors that predict only boxes, unless they have a mask head.
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
    """A split and the COCO files of its datasets."""

    part: PartLook
    files: list[CocoFile]


def metrics_of(look: Look, name: str) -> Iterator[tuple[str, dict]]:
    """Dotted keys and configs of a split's metrics."""
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
    """Refuse metrics that fail at the first validation.

    They may not fit the pipelines or the model.
    """
    for name in ('val', 'test'):
        part = look.parts.get(name)
        if part is None:
            continue
        for key, cfg in metrics_of(look, name):
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
    """Refuse annotations on which pycocotools fails, and those of other images.

    Args:
        look (Look): Collects the findings.
        owner (Part): The split that is measured.
        file (CocoFile): ``ann_file`` of the metric.
        cfg (dict): The config of the metric.
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
        '{} annotations have the id 0, and pycocotools counts '
        'a detection that matches it as wrong',
        [a for a in file.annotations if plain(a['id']) == 0],
        total,
        'Number the annotations from 1.',
        look.warn,
    )
    tell(
        look,
        file.name,
        '{} annotations have an id that is not a number, on '
        'which pycocotools fails at the first validation',
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
            "Write the polygons or the RLE, or remove 'segm'.",
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
            f'{file.name} lacks {len(absent)} of the {len(mine)} images of '
            f'{owner.part.key} ({other!r}), for example id {absent[0]!r}. Set '
            'the same file in both.'
        )
        return
    differ = [i for i in mine if mine[i] != its[i]]
    if differ:
        look.refuse(
            f'{file.name} has {its[differ[0]]!r} as image {differ[0]!r}, but '
            f'{owner.part.key} ({other!r}) has {mine[differ[0]]!r}, so '
            f'{len(differ)} images would be measured with the boxes of '
            'another one. Set the same file in both.'
        )
        return
    if len(its) > len(mine):
        look.refuse(
            f'{file.name} has {len(its)} images, but {owner.part.key} '
            f'({other!r}) has only {len(mine)} of them, so the boxes of the '
            'others would count as missed. Set the same file in both.'
        )
        return
    _check_same_boxes(look, owner, file)


def _check_same_boxes(look: Look, owner: Part, file: CocoFile) -> None:
    """Compare the boxes of two files with the same images."""
    mine = Counter(
        map(_signature, (a for each in owner.files for a in each.annotations))
    )
    its = Counter(map(_signature, file.annotations))
    differ = sum((its - mine).values())
    text = (
        f'{file.name} has {sum(its.values())} boxes, and {owner.part.key} '
        f'({owner.files[0].path!r}) has {sum(mine.values())}'
    )
    if differ > MOSTLY * sum(its.values()):
        look.refuse(
            f'{text}. {differ} boxes of the first file are not in the second, '
            'so the metric would compare with other boxes. Set the same file '
            'in both.'
        )
    elif differ or its != mine:
        look.warn(
            f'{text}. {differ} boxes of the first file are not in the second, '
            'so the metric measures other boxes than the samples have. Set the '
            'same file in both if that is not intended.'
        )


def _signature(ann: dict) -> tuple:
    return str(plain(ann['image_id'])), tuple(
        round(float(value)) for value in ann['bbox']
    )


def _check_source(look: Look, part: PartLook, key: str, cfg: dict) -> None:
    """Refuse a metric without a file if the samples carry no boxes."""
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
            f"{key}.metric has 'segm', but {type_name(model)} predicts boxes "
            f"only. Set {key}.metric='bbox', or use a model with masks, for "
            'example MaskRCNN.'
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
