"""Checks the classes and labels of the splits."""

from collections import Counter
from typing import Any

from .class_folders import folder_names
from .findings import Look
from .parts import PartLook, head_classes
from .unread import names_classes_by_folder


def check_classes(look: Look) -> None:
    """Refuse splits that number their classes differently."""
    named = [part for part in look if part.classes_declared and part.name != 'pretext']
    for part in named[1:]:
        first = named[0]
        here, there = part.classes_declared, first.classes_declared
        if here == there or _by_folder(first) and _by_folder(part):
            continue
        _tell_order(look, first, part, there, here)


def check_labels(look: Look) -> None:
    """Count the labels of classification by class.

    A label for which the head has no output is refused. A class without images
    is a warning.
    """
    for part in look:
        if part.name == 'pretext':
            continue
        labels = [(info, label) for info in part.infos for label in _labels(info)]
        if not labels:
            continue
        counts = Counter(label for _, label in labels)
        names = _names(part, counts, head_classes(look.cfg))
        for number, name in enumerate(names):
            part.classes.setdefault(name, {})['images'] = counts.get(number, 0)
        # Without a classification head nothing uses the labels.
        outputs = head_classes(look.cfg)
        if outputs is None:
            continue
        if part.name == 'train' and len(names) != outputs:
            _tell_outputs(look, names, outputs)
        elif _check_range(look, part, labels, names):
            _check_absent(look, part, names)


def _by_folder(part: PartLook) -> bool:
    """Whether folders name the classes; they have been compared already."""
    return all(map(names_classes_by_folder, part.leaves()))


def _labels(info: dict) -> list[int]:
    label = info.get('gt_label')
    if label is None or isinstance(label, str):
        return []
    try:
        return [int(each) for each in label]
    except TypeError:
        return [int(label)]


def _names(part: PartLook, counts: Counter, outputs: int | None) -> list[str]:
    declared = part.classes_declared
    leaves = part.leaves()
    if declared and len(leaves) == 1 and names_classes_by_folder(leaves[0]):
        # The folders number the classes, whatever is declared.
        folders = folder_names(leaves[0].img_prefix)
        if sorted(folders) == sorted(declared):
            return folders
    if declared:
        return declared
    number = outputs or max(max(counts) + 1, 0)
    return [str(i) for i in range(number)]


def _tell_outputs(look: Look, names: list[str], outputs: int) -> None:
    number = len(names)
    variable = 'BISSL_NUM_CLASSES'
    how = f'num_classes={number}' + (
        f', or type export {variable}={number} if that variable sets it'
        if variable in (look.cfg.text or '')
        else ''
    )
    look.refuse(
        f'The head has num_classes={outputs}, but the training data have '
        f'{number} classes ({", ".join(names[:5])}'
        f'{", ..." * (number > 5)}). Set {how}.'
    )


def _check_range(
    look: Look, part: PartLook, labels: list[Any], names: list[str]
) -> bool:
    # Another check compares both numbers when the model is known.
    number = max(len(names), head_classes(look.cfg) or 0)
    bad = [(info, label) for info, label in labels if not 0 <= label < number]
    if not bad:
        return True
    info, label = bad[0]
    more = f' (and {len(bad) - 1} more)' if len(bad) > 1 else ''
    lowest = min(label for _, label in labels)
    hint = ''
    if lowest == 1 and max(label for _, label in labels) == number:
        hint = ' The labels seem to be counted from 1.'
    source = getattr(part.leaves()[0], 'ann_file', '') or 'its files'
    look.refuse(
        f'{part.key}: label {label} of {info.get("img_path", "a sample")!r}'
        f'{more}, from {source!r}, is not in 0 to {number - 1}, the numbers '
        f'of {number} classes.{hint} Correct the labels, or classes and '
        'num_classes.'
    )
    return False


def _check_absent(look: Look, part: PartLook, names: list[str]) -> None:
    absent = [name for name in names if not part.classes[name].get('images')]
    if not absent or len(absent) == len(names):
        return
    seen = len(part.infos)
    where = f'no image among {seen} read' if seen < len(part.whole) else 'no image'
    told = ', '.join(map(repr, absent[:6])) + ', ...' * (len(absent) > 6)
    effect = 'is not learnt' if part.name == 'train' else 'is not evaluated'
    if seen < len(part.whole) and part.name != 'train':
        return
    look.warn(
        f'{part.key}: {where} belongs to {len(absent)} of {len(names)} '
        f'classes ({told}), so each of them {effect}.'
    )


def _tell_order(
    look: Look, first: PartLook, part: PartLook, there: list[str], here: list[str]
) -> None:
    if here == there[: len(here)]:
        look.warn(
            f'{part.key} declares only the first {len(here)} of the '
            f'{len(there)} classes of {first.key}.'
        )
        return
    number = next(
        i for i, name in enumerate(here) if i >= len(there) or there[i] != name
    )
    other = repr(there[number]) if number < len(there) else 'no class'
    look.refuse(
        f'{part.key}: class {number} is {here[number]!r}, but {other} in '
        f'{first.key}. Write the same classes in the same order in both '
        '(metainfo.classes or classes).'
    )
