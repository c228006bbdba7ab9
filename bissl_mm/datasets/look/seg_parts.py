"""Finds what a config says about splits with masks."""

from collections.abc import Iterator
from typing import Any

from mmengine.config import Config

from .parts import PartLook, type_name

#: The id that mmseg's heads, metrics and label maps ignore by default.
IGNORED = 255


def mask_loader(part: PartLook) -> Any | None:
    """The transform that reads a split's masks.

    None if the split has no masks of mmseg's kind, or if its pipeline does not
    read them.
    """
    if not part.infos or not all(
        key in part.infos[0] for key in ('seg_map_path', 'reduce_zero_label')
    ):
        return None
    return next(
        (t for t in built_transforms(part.dataset) if hasattr(t, '_load_seg_map')), None
    )


def image_reading(part: PartLook) -> tuple[str, str | None]:
    """``color_type`` and ``imdecode_backend`` with which images are read."""
    for transform in built_transforms(part.dataset):
        if hasattr(transform, 'color_type'):
            return transform.color_type, getattr(transform, 'imdecode_backend', None)
    return 'color', 'cv2'


def built_transforms(dataset: Any) -> Iterator[Any]:
    """Transforms of a built dataset and of those inside, innermost first."""
    for inner in getattr(dataset, 'datasets', ()):
        yield from built_transforms(inner)
    if hasattr(dataset, 'dataset'):
        yield from built_transforms(dataset.dataset)
    pipeline = getattr(dataset, 'pipeline', None) or ()
    yield from getattr(pipeline, 'transforms', pipeline)


def segmentor(cfg: Config) -> tuple[str, dict]:
    """Dotted key and config of the model that predicts masks."""
    model = cfg.get('model') or {}
    if isinstance(model.get('downstream'), dict):
        return 'model.downstream', model['downstream']
    return 'model', model


def heads(cfg: Config) -> list[tuple[str, dict]]:
    """Dotted keys and configs of mmseg's heads, the main one first."""
    key, model = segmentor(cfg)
    return [
        found
        for name in ('decode_head', 'auxiliary_head')
        for found in _numbered(f'{key}.{name}', model.get(name))
    ]


def losses(key: str, head: dict) -> list[tuple[str, dict]]:
    """Dotted keys and configs of a head's losses."""
    return _numbered(f'{key}.loss_decode', head.get('loss_decode'))


def metrics(cfg: Config, part: str) -> list[tuple[str, dict]]:
    """Dotted keys and configs of the IoU metrics of ``'val'`` or ``'test'``."""
    key = f'{part}_evaluator'
    found = cfg.get(key)
    if isinstance(found, dict) and 'metrics' in found:
        key, found = f'{key}.metrics', found['metrics']
    return [
        (name, metric)
        for name, metric in _numbered(key, found)
        if type_name(metric) == 'IoUMetric'
    ]


def ignored_ids(cfg: Config, part: PartLook) -> list[int]:
    """Ids without a class that are ignored in a split's masks.

    Heads ignore them in training, and metrics in an evaluation.
    """
    users = metrics(cfg, part.name) if part.name in ('val', 'test') else heads(cfg)
    # None means a masked binary cross entropy, which ignores 255.
    found = [
        IGNORED if i is None else i
        for i in (user.get('ignore_index', IGNORED) for _, user in users)
    ]
    agreed = set(found[:1]).intersection(found) if found else {IGNORED}
    return sorted(i for i in agreed if isinstance(i, int))


def number_of_classes(cfg: Config, part: PartLook) -> int:
    """Number of classes of a split, or of the head; 0 if it is unknown."""
    declared = len(part.classes_declared)
    found = [head.get('num_classes') for _, head in heads(cfg)]
    return declared or next((n for n in found if isinstance(n, int)), 0)


def _numbered(key: str, found: Any) -> list[tuple[str, dict]]:
    if isinstance(found, dict):
        return [(key, found)]
    if isinstance(found, (list, tuple)):
        return [
            (f'{key}.{i}', each)
            for i, each in enumerate(found)
            if isinstance(each, dict)
        ]
    return []
