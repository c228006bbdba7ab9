"""Checks that data, heads and metrics of masks have consistent settings."""

from collections.abc import Sequence
from typing import Any

from .findings import Look
from .parts import PartLook, type_name
from .seg_parts import (
    IGNORED,
    built_transforms,
    heads,
    ignored_ids,
    losses,
    mask_loader,
    metrics,
    number_of_classes,
    segmentor,
)


def check_seg_settings(look: Look) -> None:
    """Compare the settings of masks in all places that have them.

    These are ``ignore_index``, ``reduce_zero_label``, the classes, their
    weights, and the values with which masks are padded.
    """
    parts = [part for part in look if mask_loader(part) is not None]
    if not parts:
        return
    _check_ignored_by_data(look, parts)
    for part in parts:
        _check_reduction(look, part)
        _check_fills(look, part)
        _tell_left_out(part)
    _check_agreement(look, parts)
    _check_classes(look, parts)
    _check_ignored_by_users(look)
    _check_weights(look)
    _check_one_class(look, parts)


def _check_ignored_by_data(look: Look, parts: Sequence[PartLook]) -> None:
    """Refuse an ``ignore_index`` that only a data set has; mmseg ignores it."""
    stated: dict[Any, list[str]] = {}
    for part in parts:
        for value in {
            getattr(leaf, 'ignore_index', IGNORED) for leaf in part.leaves()
        } - {IGNORED}:
            stated.setdefault(value, []).append(part.key)
    users = [
        (key, user.get('ignore_index', IGNORED))
        for key, user in (heads(look.cfg) + _all_metrics(look))
    ]
    for value, keys in stated.items():
        others = [(key, i) for key, i in users if i != value]
        if others:
            listed = ', '.join(f'{key} ignores {i}' for key, i in others)
            options = ', '.join(f'{key}.ignore_index={value}' for key, _ in others)
            look.refuse(
                f'{", ".join(keys)}: ignore_index={value} of the data set '
                f'alone has no effect, because {listed}. Set {options} as well, '
                'or remove it.'
            )


def _all_metrics(look: Look) -> list[tuple[str, dict]]:
    return [
        found
        for name in ('val', 'test')
        if name in look.parts
        for found in metrics(look.cfg, name)
    ]


def _check_ignored_by_users(look: Look) -> None:
    """Refuse heads, losses and metrics that ignore different ids."""
    found = heads(look.cfg)
    values = [(key, head.get('ignore_index', IGNORED)) for key, head in found]
    if set(look.parts) & {'val', 'test'}:
        values += [
            (key, metric.get('ignore_index', IGNORED))
            for key, metric in _all_metrics(look)
        ]
    for key, head in found:
        own = head.get('ignore_index', IGNORED)
        values += [
            (loss_key, loss['ignore_index'])
            for loss_key, loss in losses(key, head)
            if loss.get('ignore_index', own) != own
        ]
    if len({value for _, value in values}) > 1:
        listed = ', '.join(f'{key} {value}' for key, value in values)
        look.warn(
            'Heads, losses and metrics ignore different class ids '
            f'(ignore_index): {listed}. Set one value for all.'
        )


def _check_reduction(look: Look, part: PartLook) -> None:
    """Compare ``reduce_zero_label`` of the loader and of its data set."""
    loaders = {
        t.reduce_zero_label
        for t in built_transforms(part.dataset)
        if hasattr(t, '_load_seg_map')
    } - {None}
    stated = {bool(getattr(leaf, 'reduce_zero_label', False)) for leaf in part.leaves()}
    for value in loaders:
        if stated - {bool(value)}:
            look.refuse(
                f'{part.key}: LoadAnnotations has reduce_zero_label={value}, but '
                f'the data set has {not value}. Set it on the data set only.'
            )
    names = part.classes_declared
    if True in stated and names and names[0].lower() in ('background', 'bg'):
        look.warn(
            f'{part.key}: reduce_zero_label=True ignores id 0 and makes id 1 '
            f'the first class, which is {names[0]!r}. If 0 is the background in '
            'the masks, remove reduce_zero_label, or remove the class.'
        )


def _check_fills(look: Look, part: PartLook) -> None:
    """Check the values with which padding and rotation fill masks."""
    number = number_of_classes(look.cfg, part)
    ignored = ignored_ids(look.cfg, part)
    for key, value in _fills(look, part):
        if (
            not isinstance(value, int)
            or value in ignored
            or not number
            or 0 <= value < number
        ):
            continue
        listed = ', '.join(map(str, ignored)) or 'no id'
        look.refuse(
            f'{part.key}: {key}={value} fills masks with an id that none of '
            f'the {number} classes has and that is not ignored (ignored is '
            f'{listed}). Set {key}={ignored[0] if ignored else IGNORED}.'
        )


def _fills(look: Look, part: PartLook) -> list[tuple[str, Any]]:
    found = []
    for transform in part.transforms():
        name = type_name(transform)
        if name == 'Pad' and isinstance(transform.get('pad_val'), dict):
            found.append(('Pad.pad_val.seg', transform['pad_val'].get('seg', IGNORED)))
        for key in ('seg_pad_val', 'seg_fill_in'):
            if transform.get(key) is not None:
                found.append((f'{name}.{key}', transform[key]))
    key, model = segmentor(look.cfg)
    preprocessor = model.get('data_preprocessor') or {}
    if part.name == 'train' and type_name(preprocessor) == 'SegDataPreProcessor':
        found.append(
            (
                f'{key}.data_preprocessor.seg_pad_val',
                preprocessor.get('seg_pad_val', IGNORED),
            )
        )
    return found


def _tell_left_out(part: PartLook) -> None:
    for leaf in part.leaves():
        names = (getattr(leaf, 'METAINFO', None) or {}).get('classes') or ()
        gone = [
            str(name)
            for name, (_, new) in zip(
                names,
                sorted((getattr(leaf, 'label_map', None) or {}).items()),
                # Most data sets have no map at all.
                strict=False,
            )
            if new == IGNORED
        ]
        if gone:
            part.left_out.append(
                f'pixels of {", ".join(gone)}: not in metainfo.classes, so '
                f'loaded as {IGNORED}'
            )


def _check_agreement(look: Look, parts: Sequence[PartLook]) -> None:
    """Compare ``reduce_zero_label`` of the splits.

    ``check_classes`` compares the names of the classes.
    """
    first = parts[0]
    for part in parts[1:]:
        if _reduces(part) != _reduces(first):
            look.refuse(
                f'{first.key} and {part.key} number classes differently: '
                f'reduce_zero_label is {_reduces(first)} and '
                f'{_reduces(part)}. Set the same value in all splits.'
            )


def _reduces(part: PartLook) -> str:
    return ' and '.join(
        sorted(
            {
                str(bool(getattr(leaf, 'reduce_zero_label', False)))
                for leaf in part.leaves()
            }
        )
    )


def _check_classes(look: Look, parts: Sequence[PartLook]) -> None:
    """Compare the classes with the heads, for configs without a training split."""
    if 'train' in look.parts:
        return
    for part in parts:
        number = len(part.classes_declared)
        for key, head in heads(look.cfg):
            if number and head.get('num_classes', number) != number:
                look.refuse(
                    f'{key}.num_classes={head["num_classes"]}, but '
                    f'{part.key} declares {number} classes. Set the same number '
                    'in both.'
                )


def _check_weights(look: Look) -> None:
    """Refuse a ``class_weight`` without one number per class."""
    for key, head in heads(look.cfg):
        number = head.get('num_classes')
        for loss_key, loss in losses(key, head):
            weights = loss.get('class_weight')
            if (
                isinstance(weights, (list, tuple))
                and isinstance(number, int)
                and len(weights) != number
                and not loss.get('use_sigmoid')
            ):
                look.refuse(
                    f'{loss_key}.class_weight has {len(weights)} numbers, '
                    f'but the head has num_classes={number}. Write one number '
                    'per class.'
                )


def _check_one_class(look: Look, parts: Sequence[PartLook]) -> None:
    """Refuse a single class, to which all pixels would belong."""
    for part in parts[:1]:
        if number_of_classes(look.cfg, part) == 1:
            name = ''.join(map(repr, part.classes_declared[:1])) or 'class 0'
            look.refuse(
                f'{part.key} has one class, {name}, to which all pixels belong '
                'that are not ignored. So there is nothing to learn, and the '
                'IoU is always 100. Declare the background as a class, too, '
                'with its own id.'
            )
