"""Tells damaged files from other reasons why a sample cannot be prepared."""

import os.path as osp
from typing import Any

import mmcv


def files_of(dataset: Any, index: int) -> dict[str, str]:
    """Image and mask files of a sample, as far as the dataset says.

    Args:
        dataset (Dataset): With ``get_data_info``, or without.
        index (int): Of the sample.
    """
    try:
        info = dataset.get_data_info(index)
    except Exception:
        return {}
    if not isinstance(info, dict):
        return {}
    paths = dict(image=info.get('img_path'), mask=info.get('seg_map_path'))
    return {what: path for what, path in paths.items() if path}


def unreadable_file(dataset: Any, index: int) -> tuple[str, str] | None:
    """The first file of a sample that its decoder cannot read.

    Args:
        dataset (Dataset): With ``get_data_info``, or without.
        index (int): Of the sample.

    Returns:
        tuple[str, str], optional: ``'image'`` or ``'mask'``, and the path. None if
        all its files can be read.
    """
    files = files_of(dataset, index)
    return next((pair for pair in files.items() if not _is_readable(*pair)), None)


def _is_readable(what: str, path: str) -> bool:
    if not osp.isfile(path):
        return False
    try:
        if what == 'image':
            return mmcv.imread(path) is not None
        return mmcv.imread(path, flag='unchanged', backend='pillow') is not None
    except Exception:
        return False
