"""Checks the ids in a split's masks, and whether the loader keeps them."""

import copy
import io
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from mmengine import fileio
from PIL import Image

from .findings import Look
from .headers import is_cut_off, read_header
from .mask_texts import (
    changed_text,
    channels_text,
    damaged_text,
    undeclared_text,
    unseen_text,
    unshared_text,
)
from .parts import PartLook
from .seg_palettes import Colour, colours_of, tell_palettes
from .seg_parts import ignored_ids, mask_loader, number_of_classes


@dataclass
class Found:
    """What was found in a split's masks.

    Args:
        classes (int): Number of declared classes.
        ignored (list[int]): Ids that are ignored, besides those of classes.
    """

    classes: int
    ignored: list[int]
    read: int = 0
    #: Id -> number of pixels, as the loader gives them.
    pixels: np.ndarray = field(default_factory=lambda: np.zeros(256, int))
    #: Id without a class -> number of masks with it, and the first of them.
    undeclared: dict[int, list[str]] = field(default_factory=dict)
    #: Masks with several channels: file, and pixels as stored in the file.
    channels: list[tuple[str, np.ndarray]] = field(default_factory=list)
    #: Masks whose ids the loader changes: file, stored ids and loaded ids.
    changed: list[tuple[str, np.ndarray, np.ndarray]] = field(default_factory=list)
    #: Ids of files that are loaded as an ignored id.
    taken_as_ignored: dict[float, str] = field(default_factory=dict)
    damaged: list[tuple[str, str]] = field(default_factory=list)
    #: Files with palettes, and the colours of their ids.
    colours: list[tuple[str, dict[int, Colour]]] = field(default_factory=list)

    @property
    def seen(self) -> set[int]:
        """Classes with a pixel that some loss or metric uses."""
        return set(np.flatnonzero(self.pixels[: self.classes]).tolist())

    @property
    def ignored_share(self) -> float:
        """Share of the pixels that are ignored, 0 to 1."""
        beyond = [i for i in self.ignored if self.classes <= i < 256]
        return self.pixels[beyond].sum() / max(self.pixels.sum(), 1)


def check_masks(look: Look) -> None:
    """Compare the ids in masks with the declared classes, in every split.

    The ids in the files are also compared with those that the loader gives.
    """
    palettes: list[tuple[str, str, dict[int, Colour]]] = []
    for part in look:
        loader = mask_loader(part)
        number = number_of_classes(look.cfg, part)
        if loader is None or not number:
            continue
        found = Found(number, ignored_ids(look.cfg, part))
        chosen = _chosen(part)
        for position in chosen:
            _read(part.infos[position], loader, found)
        for position in sorted(set(range(len(part.infos))) - set(chosen)):
            # Only all masks together show that there is just one class.
            if not _is_suspicious(part, found):
                break
            _read(part.infos[position], loader, found)
        _tell(look, part, found)
        palettes += [(part.key, *each) for each in found.colours]
    tell_palettes(look, palettes)


def _chosen(part: PartLook) -> list[int]:
    """The sample, and one mask of each format and mode that it lacks."""
    kinds: dict[tuple, int] = {}
    others = sorted(set(range(len(part.infos))) - set(part.sampled))
    for position in [*part.sampled, *others]:
        header = read_header(part.infos[position]['seg_map_path'])
        if not header.error:
            kinds.setdefault((header.kind, header.mode, header.coding), position)
    return sorted({*part.sampled, *kinds.values()})


def _is_suspicious(part: PartLook, found: Found) -> bool:
    """Whether at most one class was seen and nothing else was refused."""
    return (
        found.classes > 1
        and len(found.seen) < 2
        and (found.ignored_share > 0 or part.name == 'train')
        and not found.undeclared
        and not found.channels
        and not found.changed
        and not found.damaged
    )


def _read(info: dict, loader: Any, found: Found) -> None:
    path = info['seg_map_path']
    found.read += 1
    try:
        own = _file_ids(path, loader, found)
        ids = decoded = _loaded(loader, info)
        if info['reduce_zero_label'] or info.get('label_map'):
            decoded = _loaded(
                loader, dict(info, reduce_zero_label=False, label_map=None)
            )
    except Exception as error:
        # A decoder may raise any error on damaged bytes.
        found.damaged.append((path, f'{type(error).__name__}: {error}'))
        return
    if ids.ndim != 2:
        found.channels.append((path, own))
        return
    if own.shape == decoded.shape and not _same(own, decoded, path, found):
        found.changed.append((path, own, decoded))
        return
    counts = np.bincount(ids.ravel().astype(np.uint8), minlength=256)
    found.pixels += counts
    for value in np.flatnonzero(counts).tolist():
        if value >= found.classes and value not in found.ignored:
            found.undeclared.setdefault(value, []).append(path)


def _loaded(loader: Any, info: dict) -> np.ndarray:
    """A mask as the pipeline's own loader gives it."""
    # The loader keeps reduce_zero_label of the first sample, so use a copy.
    loader = copy.copy(loader)
    loader.reduce_zero_label = info['reduce_zero_label']
    results: dict[str, Any] = dict(info, seg_fields=[])
    loader._load_seg_map(results)
    return results['gt_seg_map']


def _file_ids(path: str, loader: Any, found: Found) -> np.ndarray:
    """The numbers in a mask's file; the colours of its ids are noted."""
    content = fileio.get(path, backend_args=getattr(loader, 'backend_args', None))
    with Image.open(io.BytesIO(content)) as image:
        ids = np.array(image)
        colours = colours_of(image, ids)
    if colours:
        found.colours.append((path, colours))
    # Pillow stretches grey levels of two and four bits to 0 to 255.
    step = {'L;2': 85, 'L;4': 17}.get(read_header(path).coding)
    return ids // step if step else ids


def _same(own: np.ndarray, decoded: np.ndarray, path: str, found: Found) -> bool:
    """Whether the loader keeps all ids.

    It may turn the largest number of a type, or -1, into an ignored id.
    """
    differs = own != decoded
    if not differs.any():
        return True
    largest = {-1, 65535, 2**31 - 1}
    pairs = set(zip(own[differs].tolist(), decoded[differs].tolist(), strict=True))
    if any(value not in largest or to not in found.ignored for value, to in pairs):
        return False
    for value, _ in pairs:
        found.taken_as_ignored.setdefault(value, path)
    return True


def _tell(look: Look, part: PartLook, found: Found) -> None:
    complete = found.read >= len(part.whole)
    part.facts['masks read'] = f'{found.read} of {len(part.whole)}'
    if found.pixels.any():
        part.facts['pixels ignored'] = f'{found.ignored_share:.1%}'
        for index, name in enumerate(part.classes_declared[:256]):
            part.classes.setdefault(name, {})['pixels'] = int(found.pixels[index])
    # check_seg_files has named those cut off.
    damaged = [d for d in found.damaged if not is_cut_off(d[0])]
    if damaged:
        look.refuse(damaged_text(part, *damaged[0], len(damaged)))
    for text in (
        channels_text(part, found),
        changed_text(part, found),
        undeclared_text(part, found),
        # The samples of a bilevel stage are checked one by one.
        unshared_text(part, found)
        if look.is_bilevel and part.name == 'train'
        else None,
    ):
        if text:
            look.refuse(text)
    kinds = Counter(read_header(info['seg_map_path']).kind for info in part.infos)
    if kinds['JPEG']:
        look.warn(
            f'{part.key}: {kinds["JPEG"]} of {len(part.infos)} masks are '
            'JPEG files. JPEG compression changes ids at the edges of objects. '
            'Write masks as PNG.'
        )
    for value, path in found.taken_as_ignored.items():
        look.warn(
            f"{part.key}: id {value:g} of the mask '{path}' is loaded as "
            f'{found.ignored[0]}, which is ignored.'
        )
    _tell_unseen(look, part, found, complete)


def _tell_unseen(look: Look, part: PartLook, found: Found, complete: bool) -> None:
    if found.undeclared or found.channels or found.changed or found.damaged:
        return
    missing = sorted(set(range(found.classes)) - found.seen)
    if not missing:
        return
    text = unseen_text(part, found, missing, complete)
    if complete and _is_suspicious(part, found) and (found.seen or part.name != 'test'):
        look.refuse(text)
    else:
        look.warn(text)
