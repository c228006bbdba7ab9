"""Checks plain text lists of images before a library reads them."""

import os.path as osp
from collections import defaultdict
from glob import escape, glob

from .findings import Look
from .list_lines import TextList, decoded_lines, read_line
from .parts import MAX_HEADERS
from .unread import is_local, unread


def check_lists(look: Look) -> None:
    """Refuse lines that a library would misread or fail on.

    The message has the line numbers. An image that is listed twice is a
    warning.
    """
    for part in look:
        for key, cfg in part.leaf_cfgs():
            for each in _lists_of(key, cfg):
                if osp.isfile(each.path):
                    _check_list(look, each)


def _lists_of(key: str, cfg: dict) -> list[TextList]:
    dataset = unread(cfg)
    if dataset is None:
        return []
    found = []
    classes = cfg.get('classes')
    if isinstance(classes, str) and hasattr(dataset, 'CLASSES'):
        found.append(TextList(f'{key}.classes', osp.expanduser(classes), False, None))
    path = getattr(dataset, 'ann_file', None)
    if not is_local(path):
        return found
    key = f'{key}.ann_file'
    if hasattr(dataset, '_find_samples'):
        found.append(
            TextList(
                key,
                path,
                dataset.with_label,
                lambda name: osp.join(dataset.img_prefix or '', name),
            )
        )
    elif hasattr(dataset, 'seg_map_suffix') and hasattr(dataset, 'img_suffix'):
        folder = dataset.data_prefix.get('img_path') or ''
        found.append(
            TextList(
                key,
                path,
                False,
                lambda name: osp.join(folder, name.strip() + dataset.img_suffix),
            )
        )
    elif hasattr(dataset, 'img_subdir') and hasattr(dataset, 'sub_data_root'):
        found.append(
            TextList(
                key,
                path,
                False,
                lambda name: osp.join(
                    dataset.sub_data_root, dataset.img_subdir, f'{name}.jpg'
                ),
            )
        )
    return found


def _check_list(look: Look, given: TextList) -> None:
    with open(given.path, 'rb') as file:
        content = file.read()
    lines = decoded_lines(look, given, content)
    if lines is None:
        return
    if not any(line.strip() for line in lines):
        look.refuse(
            f'{given.key}: {given.path!r} is empty. Write one line per image, '
            f'or set {given.key} to another list.'
        )
        return
    faults: dict[str, list[int]] = defaultdict(list)
    names: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for number, line in enumerate(lines, 1):
        name, label, fault = read_line(line, given.labelled)
        if fault:
            faults[fault].append(number)
        else:
            names[name][label].append(number)
    for fault, numbers in faults.items():
        told = fault.format(path=given.path, line=lines[numbers[0] - 1])
        look.refuse(f'{_place(given, numbers)} {told}')
    if given.image_of:
        _check_images(look, given, lines, names)
    _check_repeated(look, given, names)


def _check_images(
    look: Look,
    given: TextList,
    lines: list[str],
    names: dict[str, dict[str, list[int]]],
) -> None:
    missing = []
    checked = list(names) if look.everything else list(names)[:MAX_HEADERS]
    for name in checked:
        path = given.image_of(name)
        if not is_local(path):
            return
        if not osp.isfile(path):
            missing += [n for numbers in names[name].values() for n in numbers]
    if not missing:
        return
    number = min(missing)
    line = lines[number - 1]
    name = read_line(line, given.labelled)[0]
    look.tell_damaged(
        given.key,
        len(missing),
        len(lines),
        f'{_place(given, sorted(missing))} names {name!r}, but there is no '
        f'file {given.image_of(name)!r}. {_hint(given, name)}',
    )


def _hint(given: TextList, name: str) -> str:
    """A sentence that says what to write for the name of a missing file."""

    def exists(other: str) -> bool:
        return other != name and osp.isfile(given.image_of(other))

    if '\\' in name and exists(name.replace('\\', '/')):
        return f"Write / instead of a backslash: sed -i 's:\\\\:/:g' {given.path!r}."
    if exists(name.strip()):
        return 'Remove the blanks before and after the name, except one before a label.'
    bare = name.strip(' \t,;"\'')
    if exists(bare):
        return f'Write {bare!r}, without quotes and commas.'
    first = name.split()[0]
    if exists(first):
        return f'Write the name alone, without {name[len(first) :]!r}.'
    stem = osp.splitext(name)[0]
    if exists(stem):
        return f'The suffix is added to the name. Write {stem!r}.'
    base = osp.basename(stem)
    for other in (base, osp.basename(name), name.partition('/')[2]):
        if exists(other):
            return f'Write {other!r}, the path relative to the folder of the images.'
    return (
        _other_suffix(given.image_of(name))
        or 'Correct the list or the folder (data_root, data_prefix).'
    )


def _other_suffix(path: str) -> str:
    """A sentence about a file that has the name and another suffix."""
    stem, suffix = osp.splitext(path)
    found = sorted(
        each for each in glob(f'{escape(stem)}.*') if osp.splitext(each)[0] == stem
    )
    if not found:
        return ''
    what = f'with the suffix {suffix!r}' if suffix else 'without a suffix'
    return (
        f'The folder has {osp.basename(found[0])!r}, but the list asks for a '
        f'file {what}. Write the same suffix in both.'
    )


def _check_repeated(
    look: Look, given: TextList, names: dict[str, dict[str, list[int]]]
) -> None:
    title = 'the class' if given.image_of is None else 'the image'
    for name, by_label in names.items():
        numbers = sorted(n for each in by_label.values() for n in each)
        if len(by_label) > 1:
            look.warn(
                f'{given.key}: {given.path!r} lists {title} {name!r} on '
                f'lines {numbers[0]} and {numbers[1]} with different labels '
                f'({", ".join(by_label)}). Keep the right line.'
            )
    repeated = [
        (name, sorted(n for each in by_label.values() for n in each))
        for name, by_label in names.items()
        if len(by_label) == 1 and len(next(iter(by_label.values()))) > 1
    ]
    if repeated:
        name, numbers = repeated[0]
        look.warn(
            f'{given.key}: {given.path!r} lists {title} {name!r} on lines '
            f'{numbers[0]} and {numbers[1]}'
            f'{_more(len(repeated), "name")}, so it counts more than once. '
            'Remove the repeated lines if that is not intended.'
        )


def _place(given: TextList, numbers: list[int]) -> str:
    return (
        f'{given.key}: {given.path!r}, line {numbers[0]}{_more(len(numbers), "line")}'
    )


def _more(number: int, noun: str) -> str:
    if number < 2:
        return ''
    return f' (and {number - 1} more {noun}{"s" * (number > 2)})'
