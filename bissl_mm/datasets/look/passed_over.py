"""Files of image folders that a dataset passes over."""

import os
import os.path as osp
from collections import Counter
from typing import Any, Dict, List, Tuple

import mmcv
from PIL import Image

from .findings import Look
from .headers import read_header
from .parts import PartLook
from .unread import is_local, lists_folders, names_classes_by_folder

#: What Pillow opens, but nobody means as an image of a data set.
_NO_IMAGES = {'.pdf', '.ps', '.eps', '.mpg', '.mpeg', '.h5', '.hdf', '.bufr',
              '.grib'}
#: Images that neither Pillow nor OpenCV may open.
_MORE = {'.heic', '.heif', '.avif', '.dcm', '.dng', '.nef', '.cr2', '.arw',
         '.jxl', '.exr', '.hdr', '.nii', '.svs'}


def check_passed_over(look: Look) -> None:
    """Image files whose suffix a dataset does not take: a warning by suffix.

    Other files are noted in ``left_out``. Only datasets that list folders
    pass files over: mmpretrain's by ``extensions``, mmseg's by
    ``img_suffix``.
    """
    for part in look:
        keys = [key for key, _ in part.leaf_cfgs()]
        leaves = part.leaves()
        for key, dataset in zip(keys, leaves):
            root, suffixes = _folder(dataset)
            if root:
                _check_folder(look, part, key, dataset, root, suffixes)


def _folder(dataset: Any) -> Tuple[str, Tuple[str, ...]]:
    """Folder that a dataset lists and suffixes that it takes; empty if it
    lists none."""
    root, suffixes = '', ()
    if lists_folders(dataset):
        root, suffixes = dataset.img_prefix, dataset.extensions
    elif hasattr(dataset, 'seg_map_suffix') and not getattr(
            dataset, 'ann_file', ''):
        root = (getattr(dataset, 'data_prefix', None) or {}).get('img_path')
        suffixes = (getattr(dataset, 'img_suffix', ''), )
    return (root, suffixes) if is_local(root) and osp.isdir(root) \
        else ('', ())


def _check_folder(look: Look, part: PartLook, key: str, dataset: Any,
                  root: str, suffixes: Tuple[str, ...]) -> None:
    by_extensions = lists_folders(dataset)
    total, passed, beside = _files(
        root, suffixes, by_extensions, names_classes_by_folder(dataset),
        getattr(dataset, 'seg_map_suffix', ''))
    if beside:
        look.warn(
            f'{key}: {len(beside)} images lie beside the class folders of '
            f'{root!r} and are passed over (first: {beside[0]!r}). Move '
            'them into the folder of their class.')
        part.left_out.append(f'{len(beside)} images beside the class '
                             f'folders of {root!r}')
    if not passed:
        return
    counts = {suffix: len(paths) for suffix, paths in passed.items()}
    told = ', '.join(f'{suffix or "no suffix"} {n}'
                     for suffix, n in Counter(counts).most_common())
    number = sum(counts.values())
    part.left_out.append(f'{number} of {total} files by their suffix: {told}')
    images = {suffix: paths[0] for suffix, paths in passed.items()
              if _is_image(suffix, paths[0])}
    if images:
        look.warn(
            f'{key}: {number} of {total} files in {root!r} are passed over '
            f'by their suffix: {told} (first: {next(iter(images.values()))!r}'
            f'). {_remedy(key, by_extensions, suffixes, images)}')


def _files(root: str, suffixes: Tuple[str, ...], by_extensions: bool,
           by_class: bool, masks: str) -> Tuple[int, Dict[str, List[str]], List[str]]:
    """Number of files, those passed over by suffix, and images that lie
    beside the class folders. Hidden files and masks do not count."""
    total, passed, beside = 0, {}, []
    for folder, _, names in os.walk(root, followlinks=True):
        for name in names:
            if name.startswith('.'):
                continue
            path = osp.join(folder, name)
            suffix = osp.splitext(name)[1]
            taken = (name.lower() if by_extensions else name).endswith(
                suffixes)
            if masks and not taken and name.endswith(masks):
                continue
            total += 1
            if by_class and folder == root:
                if taken or _is_image(suffix.lower(), path):
                    beside.append(path)
            elif not taken:
                passed.setdefault(suffix.lower() if by_extensions else suffix,
                                  []).append(path)
    return total, passed, beside


def _is_image(suffix: str, path: str) -> bool:
    suffix = suffix.lower()
    if not suffix or suffix[1:].isdigit():
        return not read_header(path).error
    known = set(Image.registered_extensions()) - _NO_IMAGES
    return suffix in known | _MORE


def _remedy(key: str, by_extensions: bool, suffixes: Tuple[str, ...],
            images: Dict[str, str]) -> str:
    if not by_extensions:
        return (f'{key}.img_suffix takes one spelling; rename the files or '
                'convert them.')
    usable = [suffix for suffix, path in images.items()
              if suffix and _can_decode(path)]
    text = ''
    if usable:
        wanted = ','.join(sorted({*suffixes, *usable}))
        text = f'To use them: --cfg-options {key}.extensions=[{wanted}].'
    rest = sorted(suffix or 'files without a suffix'
                  for suffix in set(images) - set(usable))
    if rest:
        text += f'{" " * bool(text)}Convert or rename {", ".join(rest)}.'
    return text


def _can_decode(path: str) -> bool:
    try:
        return mmcv.imread(path) is not None
    except Exception:
        return False
