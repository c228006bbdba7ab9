"""Finds images that occur in several splits."""

import hashlib
import itertools
import os
import os.path as osp
from collections import defaultdict
from collections.abc import Iterator

from .findings import Look
from .parts import PartLook
from .unread import is_local

#: Bytes read at the beginning, in the middle and at the end of a file.
_PIECE = 1 << 14


def check_repeated(look: Look) -> None:
    """Warn about images that are in two of the splits train, val and test.

    Training images with two labels are a warning, too. Two images are the same
    if their files have the same size and the same bytes. In large files the
    bytes at three places are compared.
    """
    train = look.parts.get('train')
    if train is None:
        return
    others = [look.parts[name] for name in ('val', 'test') if name in look.parts]
    sizes = {part.name: _by_size(part) for part in (train, *others)}
    for first, part in itertools.combinations((train, *others), 2):
        # Configs that test on the validation files say so themselves.
        if first is train or sizes[first.name] != sizes[part.name]:
            _check_shared(look, first, part, sizes)
    _check_labels(look, train, sizes['train'])


def _check_shared(
    look: Look, other: PartLook, part: PartLook, sizes: dict[str, dict]
) -> None:
    shared: list[tuple[str, str]] = []
    for size, paths in sizes[part.name].items():
        known = {_digest(path, size): path for path in sizes[other.name].get(size, ())}
        if known:
            shared += [
                (known[digest], path)
                for path in sorted(paths)
                if (digest := _digest(path, size)) in known
            ]
    if not shared:
        return
    first, second = shared[0]
    same = (
        'it'
        if osp.realpath(first) == osp.realpath(second)
        else f'{second!r} has the same bytes'
    )
    total = len({p for group in sizes[part.name].values() for p in group})
    used = (
        'training images'
        if other.name == 'train'
        else 'images by which settings are chosen'
    )
    look.warn(
        f'{len(shared)} of {total} images of {part.key} are in {other.key}, '
        f'too (first: {first!r}; {same}). Results on {used} are too '
        'good. Remove them from one of the two.'
    )


def _check_labels(look: Look, train: PartLook, sizes: dict[int, set[str]]) -> None:
    labels = {
        info['img_path']: info['gt_label']
        for info in train.infos
        if isinstance(info.get('gt_label'), int) and is_local(info.get('img_path'))
    }
    found: list[tuple[str, str]] = []
    for size, paths in sizes.items():
        if len(paths) < 2 or len({labels.get(p) for p in paths}) < 2:
            continue
        known: dict[bytes, str] = {}
        for path in sorted(paths):
            other = known.setdefault(_digest(path, size), path)
            if labels.get(other) != labels.get(path):
                found.append((other, path))
    if found:
        first, second = found[0]
        look.warn(
            f'{train.key}: {len(found)} images are in two classes (first: '
            f'{first!r} and {second!r} have the same bytes). Remove the wrong '
            'ones.'
        )


def _by_size(part: PartLook) -> dict[int, set[str]]:
    """Image files by their size in bytes."""
    found: dict[int, set[str]] = defaultdict(set)
    for path in _paths(part):
        try:
            size = os.stat(path).st_size
        except OSError:
            continue
        if size:
            found[size].add(path)
    return found


def _paths(part: PartLook) -> Iterator[str]:
    for info in part.infos:
        path = info.get('img_path')
        if is_local(path):
            yield path


def _digest(path: str, size: int) -> bytes:
    digest = hashlib.blake2b(digest_size=16)
    try:
        with open(path, 'rb') as file:
            if size <= 4 * _PIECE:
                digest.update(file.read())
            else:
                for place in (0, size // 2, size - _PIECE):
                    file.seek(place)
                    digest.update(file.read(_PIECE))
    except OSError:
        # The check of the headers reports it.
        digest.update(path.encode(errors='surrogateescape'))
    return digest.digest()
