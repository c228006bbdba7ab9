"""Checks names of metrics, which are first used at the first validation."""

import difflib
from collections.abc import Iterator
from typing import Any

from ..utils.errors import ValueRefusal
from .keys import walk
from .types import is_type, type_name

#: The metrics that the libraries' evaluators know.
_CHOICES = {
    'CocoMetric': ('metric', ('bbox', 'segm', 'proposal', 'proposal_fast')),
    'VOCMetric': ('metric', ('recall', 'mAP')),
    'IoUMetric': ('iou_metrics', ('mIoU', 'mDice', 'mFscore')),
    'VOC07Metric': ('difficult', ('positive', 'ignored')),
}
_IOU = {
    'mIoU': ('aAcc', 'mIoU', 'mAcc'),
    'mDice': ('aAcc', 'mDice', 'mAcc'),
    'mFscore': ('aAcc', 'mFscore', 'mPrecision', 'mRecall'),
}


def check_metric_names(cfg: Any) -> None:
    """Refuse metrics that an evaluator does not know or does not report.

    Other evaluators than those of the libraries are not checked.

    Args:
        cfg (Config): A whole config; not changed.

    Raises:
        ValueError: With the key, the value and the possible names.
    """
    for part in ('val', 'test'):
        for place, node in _evaluators(cfg, f'{part}_evaluator'):
            _check_choice(place, node)
            _check_topk(cfg, place, node)
    reported: set[str] = set()
    for _, node in _evaluators(cfg, 'val_evaluator'):
        names = _reported(node)
        if names is None:
            return
        reported.update(names)
    if not reported:
        return
    for place, name in _watched(cfg):
        if name not in reported:
            near = difflib.get_close_matches(name, sorted(reported), 1, 0.0)[0]
            raise ValueRefusal(
                f'{place}: val_evaluator reports no {name!r}, so the first '
                f'validation would fail. Did you mean {near!r}? It reports '
                f'{", ".join(sorted(reported))}.'
            )


def _evaluators(cfg: Any, key: str) -> Iterator[tuple[str, dict]]:
    given = cfg.get(key)
    if isinstance(given, dict):
        yield key, given
    elif isinstance(given, (list, tuple)):
        yield from (
            (f'{key}.{i}', e) for i, e in enumerate(given) if isinstance(e, dict)
        )


def _listed(value: Any) -> list:
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _check_choice(place: str, node: dict) -> None:
    name = type_name(node.get('type'))
    key, choices = _CHOICES.get(name, (None, ()))
    for value in _listed(node[key]) if node.get(key) is not None else ():
        if value not in choices:
            near = difflib.get_close_matches(str(value), choices, 1, 0.0)
            hint = f' Did you mean {near[0]!r}?' if near else ''
            raise ValueRefusal(
                f'{place}.{key} is {value!r}, which {name} does not know. Choose '
                f'one of {", ".join(choices)}.{hint}'
            )


def _check_topk(cfg: Any, place: str, node: dict) -> None:
    if not is_type(node, 'Accuracy'):
        return
    ks = [k for k in _listed(node.get('topk', 1)) if isinstance(k, int)]
    for where, classes in walk('model', cfg.get('model')):
        if (
            where in ('model.head.num_classes', 'model.downstream.head.num_classes')
            and isinstance(classes, int)
            and 0 < classes < max(ks, default=1)
        ):
            raise ValueRefusal(
                f'{place}.topk has {max(ks)}, but there are {classes} '
                f'classes ({where}), so the first evaluation would fail. '
                f'Set {place}.topk=1.'
            )


def _reported(node: dict) -> list[str] | None:
    """The metrics that an evaluator of a library reports; else None."""
    name = type_name(node.get('type'))
    if name == 'Accuracy' and 'thrs' not in node:
        prefix, names = 'accuracy', [f'top{k}' for k in _listed(node.get('topk', 1))]
    elif name == 'VOC07Metric':
        prefix, names = 'voc07', ['mAP']
    elif name == 'CocoMetric' and not {'metric_items', 'classwise'} & {*node}:
        kinds = _listed(node.get('metric', 'bbox'))
        if not {*kinds} <= {'bbox', 'segm'}:
            return None
        prefix, names = (
            'coco',
            [
                f'{kind}_mAP{end}'
                for kind in kinds
                for end in ('', '_50', '_75', '_s', '_m', '_l')
            ],
        )
    elif name == 'IoUMetric' and not node.get('format_only'):
        prefix, names = (
            None,
            [
                n
                for kind in _listed(node.get('iou_metrics', 'mIoU'))
                for n in _IOU.get(kind, ())
            ],
        )
    else:
        return None
    prefix = node.get('prefix') or prefix
    return [f'{prefix}/{n}' if prefix else n for n in names]


def _watched(cfg: Any) -> Iterator[tuple[str, str]]:
    """Dotted keys that name a metric of the validation, with the names."""
    for place, node in [
        *walk('default_hooks', cfg.get('default_hooks')),
        *walk('custom_hooks', cfg.get('custom_hooks')),
    ]:
        if not isinstance(node, dict):
            continue
        for key in ('save_best',) + (
            ('monitor',) if is_type(node, 'EarlyStoppingHook') else ()
        ):
            for name in _listed(node.get(key)):
                if isinstance(name, str) and name != 'auto':
                    yield f'{place}.{key}', name
