"""Finds files in image folders that a dataset skips."""

import os
import os.path as osp
from collections import Counter
from typing import Any, NamedTuple

import mmcv
from PIL import Image

from .findings import Look
from .headers import read_header
from .parts import PartLook
from .unread import is_local, lists_folders, names_classes_by_folder, unread

#: Suffixes that Pillow opens, but that are not images of a data set.
_NO_IMAGES = {'.pdf', '.ps', '.eps', '.mpg', '.mpeg', '.h5', '.hdf', '.bufr', '.grib'}
#: Suffixes of images that Pillow and OpenCV may be unable to open.
_MORE = {
    '.heic',
    '.heif',
    '.avif',
    '.dcm',
    '.dng',
    '.nef',
    '.cr2',
    '.arw',
    '.jxl',
    '.exr',
    '.hdr',
    '.nii',
    '.svs',
}


def check_any_file(look: Look) -> None:
    """Refuse a folder from which its dataset takes no file.

    The message says what is there instead.
    """
    for part in look:
        for key, cfg in part.leaf_cfgs():
            dataset = unread(cfg)
            if (
                dataset is None
                or not lists_folders(dataset)
                or not is_local(dataset.img_prefix)
                or _takes_any(dataset.img_prefix, dataset.extensions)
            ):
                continue
            found = _files(dataset.img_prefix, dataset.extensions, False)
            if not found.total:
                # The folder is missing or empty, which was reported before.
                continue
            told = (
                _by_suffix(found.passed)
                or f'links to files that do not exist, {found.broken[0]!r} for example'
            )
            look.refuse(
                f'{key}: none of the {found.total} files in '
                f'{dataset.img_prefix!r} has one of the suffixes '
                f'{", ".join(sorted(dataset.extensions))}. There are {told}. '
                'Convert them, or set data_root and data_prefix to the folder '
                'of the images.'
            )


def check_passed_over(look: Look) -> None:
    """Warn about image files that a dataset skips because of their suffix.

    Other skipped files are noted in ``left_out``. Only datasets that list
    folders skip files: mmpretrain's datasets by ``extensions``, and mmseg's by
    ``img_suffix``, for which ``.JPG`` and ``.jpg`` differ.
    """
    for part in look:
        keys = [key for key, _ in part.leaf_cfgs()]
        leaves = part.leaves()
        # A wrapper of the user's may show its datasets in one of the two alone.
        for key, dataset in zip(keys, leaves, strict=False):
            if (
                lists_folders(dataset)
                and is_local(dataset.img_prefix)
                and osp.isdir(dataset.img_prefix)
            ):
                _check_folder(look, part, key, dataset)
            elif hasattr(dataset, 'seg_map_suffix') and hasattr(dataset, 'img_suffix'):
                _check_img_suffix(look, part, key, dataset)


def _check_img_suffix(look: Look, part: PartLook, key: str, dataset: Any) -> None:
    root = (dataset.data_prefix or {}).get('img_path')
    if not is_local(root) or not osp.isdir(root) or osp.isfile(dataset.ann_file or ''):
        return
    total, passed, first = 0, Counter(), ''
    for folder, _, names in os.walk(root, followlinks=True):
        for name in names:
            suffix = osp.splitext(name)[1]
            used = name.endswith(dataset.img_suffix)
            if (
                name.startswith('.')
                or not used
                and (
                    name.endswith(dataset.seg_map_suffix)
                    or not _is_image(suffix.lower(), osp.join(folder, name))
                )
            ):
                continue
            total += 1
            if not used:
                passed[suffix] += 1
                first = first or osp.join(folder, name)
    if passed:
        told = ', '.join(
            f'{suffix or "no suffix"} {n}' for suffix, n in passed.most_common()
        )
        number = sum(passed.values())
        part.left_out.append(
            f'{number} of {total} images, because img_suffix is '
            f'{dataset.img_suffix!r}: {told}'
        )
        look.warn(
            f'{key}: {number} of {total} images in {root!r} are skipped, '
            f'because img_suffix is {dataset.img_suffix!r}: {told} (first: '
            f'{first!r}). Rename or convert them, or set img_suffix to the end '
            'of all names.'
        )


def _check_folder(look: Look, part: PartLook, key: str, dataset: Any) -> None:
    root = dataset.img_prefix
    total, passed, beside, broken = _files(
        root, dataset.extensions, names_classes_by_folder(dataset)
    )
    if broken:
        look.warn(
            f'{key}: {len(broken)} of {total} files in {root!r} are links to '
            f'files that do not exist, and are skipped (first: '
            f'{broken[0]!r}). Restore the linked files, or remove the links.'
        )
        part.left_out.append(
            f'{len(broken)} of {total} files: links to files that do not exist'
        )
    if beside:
        look.warn(
            f'{key}: {len(beside)} images are beside the class folders of '
            f'{root!r}, and are skipped (first: {beside[0]!r}). Move them into '
            'the folder of their class.'
        )
        part.left_out.append(
            f'{len(beside)} images beside the class folders of {root!r}'
        )
    if not passed:
        return
    told = _by_suffix(passed)
    number = sum(map(len, passed.values()))
    part.left_out.append(f'{number} of {total} files because of the suffix: {told}')
    images = {
        suffix: paths[0]
        for suffix, paths in passed.items()
        if _is_image(suffix, paths[0])
    }
    if images:
        look.warn(
            f'{key}: {number} of {total} files in {root!r} are skipped because '
            f'of their suffix: {told} (first: {next(iter(images.values()))!r}'
            f'). {_remedy(key, dataset.extensions, images)}'
        )


def _takes_any(root: str, suffixes: tuple[str, ...]) -> bool:
    return any(
        name.lower().endswith(suffixes)
        and not name.startswith('.')
        and osp.exists(osp.join(folder, name))
        for folder, _, names in os.walk(root, followlinks=True)
        for name in names
    )


class _Files(NamedTuple):
    """The files of a folder.

    Their number, those skipped because of their suffix, images beside the class
    folders, and broken links.
    """

    total: int
    passed: dict[str, list[str]]
    beside: list[str]
    broken: list[str]


def _files(root: str, suffixes: tuple[str, ...], by_class: bool) -> _Files:
    """The files of a folder without hidden ones."""
    total, passed, beside, broken = 0, {}, [], []
    for folder, _, names in os.walk(root, followlinks=True):
        for name in names:
            if name.startswith('.'):
                continue
            total += 1
            path = osp.join(folder, name)
            suffix = osp.splitext(name)[1].lower()
            taken = name.lower().endswith(suffixes)
            if osp.islink(path) and not osp.exists(path):
                broken.append(path)
            elif by_class and folder == root:
                if taken or _is_image(suffix, path):
                    beside.append(path)
            elif not taken:
                passed.setdefault(suffix, []).append(path)
    return _Files(total, passed, beside, broken)


def _by_suffix(passed: dict[str, list[str]]) -> str:
    counts = Counter({suffix: len(paths) for suffix, paths in passed.items()})
    return ', '.join(
        f'{suffix or "no suffix"} {n}' for suffix, n in counts.most_common(8)
    ) + (f' and {len(counts) - 8} more' if len(counts) > 8 else '')


def _is_image(suffix: str, path: str) -> bool:
    if not suffix or suffix[1:].isdigit():
        return not read_header(path).error
    known = set(Image.registered_extensions()) - _NO_IMAGES
    return suffix in known | _MORE


def _remedy(key: str, suffixes: tuple[str, ...], images: dict[str, str]) -> str:
    usable = [suffix for suffix, path in images.items() if suffix and _can_decode(path)]
    text = ''
    if usable:
        wanted = ','.join(sorted({*suffixes, *usable}))
        text = f'To use them, type --cfg-options {key}.extensions=[{wanted}].'
    rest = sorted(
        suffix or 'files without a suffix' for suffix in set(images) - set(usable)
    )
    if rest:
        text += f'{" " * bool(text)}Convert or rename {", ".join(rest)}.'
    return text


def _can_decode(path: str) -> bool:
    try:
        return mmcv.imread(path) is not None
    except Exception:
        return False
