"""Checks which image and mask files are used, missing, or differ in size."""

import inspect
import os.path as osp
from collections import Counter
from collections.abc import Iterator
from typing import Any

from mmengine import fileio

from ...registry import DATASETS
from ...utils.errors import Refusal
from .findings import Look
from .headers import TURNS, describe, is_cut_off, read_header
from .parts import PartLook, type_name
from .seg_parts import image_reading, mask_loader
from .unread import is_local

#: Suffixes of image files.
_IMAGES = (
    '.jpg',
    '.jpeg',
    '.jfif',
    '.png',
    '.bmp',
    '.tif',
    '.tiff',
    '.webp',
    '.gif',
    '.ppm',
    '.pgm',
)


def check_seg_folders(look: Look) -> None:
    """Refuse a split without images of its suffix.

    Masks without an image are counted.
    """
    for part in look:
        for key, dataset in _unread_datasets(part):
            if getattr(dataset, 'ann_file', '') and osp.isfile(dataset.ann_file):
                continue
            prefix = dataset.data_prefix or {}
            _check_folder(look, key, prefix.get('img_path'), dataset.img_suffix)
            _check_pairs(look, part, key, dataset)


def check_seg_files(look: Look) -> None:
    """Compare the headers of all images and masks of each split.

    It finds missing files, damaged masks, and differences in decoded sizes and
    EXIF orientations.
    """
    for part in look:
        if mask_loader(part) is not None:
            _check_existence(look, part)
            _check_sizes(look, part)


def _unread_datasets(part: PartLook) -> Iterator[tuple[str, Any]]:
    """Keys and datasets of mmseg's kind, whose files are not read yet."""
    for key, cfg, scope in _leaves(part.cfg, part.key, None):
        try:
            with DATASETS.switch_scope_and_registry(scope) as registry:
                kind = cfg.get('type')
                kind = kind if inspect.isclass(kind) else registry.get(kind)
                # mmdet's datasets have a suffix for masks only.
                if (
                    kind is None
                    or 'img_suffix'
                    not in inspect.signature(_with_suffix(kind).__init__).parameters
                ):
                    continue
                dataset = registry.build(dict(cfg, lazy_init=True))
        except Refusal:
            raise
        except Exception:
            # Building the split will show what is wrong with it.
            continue
        yield key, dataset


def _with_suffix(kind: type) -> type:
    """mmseg's base class with suffixes, or the class itself."""
    return next(
        (base for base in kind.__mro__ if base.__name__ == 'BaseSegDataset'), kind
    )


def _leaves(cfg: Any, key: str, scope: Any) -> Iterator[tuple[str, dict, Any]]:
    if not isinstance(cfg, dict):
        return
    scope = cfg.get('_scope_', scope)
    if 'dataset' in cfg:
        yield from _leaves(cfg['dataset'], f'{key}.dataset', scope)
    elif cfg.get('datasets'):
        for i, each in enumerate(cfg['datasets']):
            yield from _leaves(each, f'{key}.datasets.{i}', scope)
    else:
        yield key, cfg, scope


def _listing(folder: Any) -> list[str]:
    if not isinstance(folder, str) or not osp.isdir(folder):
        return []
    return list(fileio.list_dir_or_file(folder, list_dir=False, recursive=True))


def _check_folder(look: Look, key: str, folder: Any, suffix: str) -> None:
    files = _listing(folder)
    kinds = Counter(osp.splitext(f)[1] for f in files if f.lower().endswith(_IMAGES))
    listed = ', '.join(f'{n} {kind}' for kind, n in kinds.most_common())
    if (
        isinstance(folder, str)
        and osp.isdir(folder)
        and not any(f.endswith(suffix) for f in files)
    ):
        choice = (
            f'img_suffix={kinds.most_common(1)[0][0]!r}'
            if kinds
            else 'data_prefix.img_path and img_suffix'
        )
        look.refuse(
            f"{key}: no file in '{folder}' ends with {suffix!r} (img_suffix),"
            f' so this split is empty. The folder has {listed or "no images"}. '
            f'Set {choice}.'
        )


def _check_pairs(look: Look, part: PartLook, key: str, dataset: Any) -> None:
    """Warn about masks without an image."""
    prefix = dataset.data_prefix or {}
    folder, ending = prefix.get('seg_map_path'), dataset.seg_map_suffix
    stems = {
        f[: -len(dataset.img_suffix)]
        for f in _listing(prefix.get('img_path'))
        if f.endswith(dataset.img_suffix)
    }
    masks = [f for f in _listing(folder) if f.endswith(ending)]
    alone = sorted(f for f in masks if f[: -len(ending)] not in stems)
    if not alone or not stems or folder == prefix.get('img_path'):
        return
    part.left_out.append(
        f"{len(alone)} of {len(masks)} masks in '{folder}': no image of the "
        f'same name with img_suffix={dataset.img_suffix!r}'
    )
    look.warn(
        f"{key}: {len(alone)} of {len(masks)} masks in '{folder}' are not "
        f'used, because there is no image of the same name with img_suffix='
        f'{dataset.img_suffix!r} (first: {alone[0]!r}). Add the images, or '
        'correct img_suffix.'
    )


def _check_existence(look: Look, part: PartLook) -> None:
    """Refuse missing or damaged masks; ``check_images`` checks images."""
    paths = [path for info in part.infos if is_local(path := info['seg_map_path'])]
    missing = [
        path for path in paths if read_header(path).error and not osp.exists(path)
    ]
    damaged = [path for path in paths if osp.exists(path) and is_cut_off(path)]
    if missing:
        look.refuse(
            f'{part.key}: {len(missing)} of {len(part.infos)} masks do not '
            f"exist (first: '{missing[0]}'). Add the files, remove their "
            'images, or correct seg_map_suffix and data_prefix.'
        )
    if damaged:
        more = f'; {len(damaged)} such masks' * (len(damaged) > 1)
        look.tell_damaged(
            part.key,
            len(damaged),
            len(part.infos),
            f"{part.key}: the mask '{damaged[0]}' is damaged or cut off"
            f'{more}. Replace the file, or remove it and its image.',
        )


def _check_sizes(look: Look, part: PartLook) -> None:
    how, differing, turned, sizes = image_reading(part), [], [], Counter()
    for info in part.infos:
        image = read_header(info['img_path'])
        mask = read_header(info['seg_map_path'])
        if image.error or mask.error:
            continue
        size = image.decoded_size(*how)
        sizes[size] += 1
        own = mask.decoded_size('unchanged', 'pillow')
        if size != own:
            differing.append((info, image, size, own))
        elif image.orientation > 1 and (
            image.orientation < 5 or size[0] == size[1] or not image.is_turned(*how)
        ):
            turned.append((info, image))
    if sizes:
        low, high = min(sizes), max(sizes)
        part.facts['sizes'] = (
            describe(low) if low == high else (f'{describe(low)} to {describe(high)}')
        )
    if differing:
        _tell_sizes(look, part, differing)
    if turned:
        _tell_turned(look, part, turned, how)


def _tell_sizes(look: Look, part: PartLook, differing: list[tuple]) -> None:
    # The worst one is shown: a mask of another shape.
    info, image, size, own = next(
        (d for d in differing if not _similar(d[2], d[3])), differing[0]
    )
    turn = (
        ''
        if image.orientation == 1
        else (
            f', stored as {describe(image.size)} with EXIF orientation '
            f'{image.orientation} ({TURNS[image.orientation]})'
        )
    )
    text = (
        f"{part.key}: the image '{info['img_path']}' is {describe(size)} "
        f'after decoding (width x height{turn}), but its mask '
        f"'{info['seg_map_path']}' is {describe(own)}. {len(differing)} of "
        f'{len(part.infos)} images differ from their masks. '
    )
    if image.orientation >= 5 and size == own[::-1]:
        look.refuse(
            text + 'If the masks were drawn on the stored pixels, set '
            "color_type='color_ignore_orientation' for LoadImageFromFile in "
            'all pipelines. Otherwise save image and mask upright.'
            if image.is_turned(*image_reading(part))
            else text + 'This decoder does not turn such files, but the mask belongs '
            'to the turned image. Save both upright.'
        )
        return
    resizes = any('Resize' in type_name(t) for t in part.transforms())
    if (
        part.name == 'train'
        and resizes
        and all(_similar(d[2], d[3]) for d in differing)
    ):
        look.warn(text + 'The transforms bring both to one size.')
    else:
        look.refuse(
            text + 'Masks must have the size of their images. '
            'Correct the pairs, or resize the masks by the nearest '
            'pixel.'
        )


def _similar(size: tuple[int, int], own: tuple[int, int]) -> bool:
    """Whether two sizes differ in scale only, up to a pixel of rounding."""
    return abs(size[0] * own[1] - size[1] * own[0]) <= max(*size, *own)


def _tell_turned(look: Look, part: PartLook, turned: list[tuple], how: tuple) -> None:
    info, image = turned[0]
    text = (
        f'{part.key}: {len(turned)} of {len(part.infos)} images have an EXIF '
        f"orientation (first: '{info['img_path']}' with "
        f'{image.orientation}, {TURNS[image.orientation]}). '
    )
    if image.is_turned(*how):
        look.warn(
            text + 'The loader turns them. The masks have the right size with '
            'and without this turn. If the masks were drawn on the stored '
            'pixels, labels are beside the objects; then set '
            "color_type='color_ignore_orientation' for LoadImageFromFile in all "
            'pipelines.'
        )
    else:
        look.warn(
            text + 'The loader keeps the stored pixels. If the masks were '
            'drawn on the images as a viewer shows them, labels are beside the '
            'objects; then save the images upright.'
        )
