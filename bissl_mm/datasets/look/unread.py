"""Datasets with their paths and classes, before they read anything."""

import copy
from typing import Any

from ...registry import DATASETS


def unread(cfg: dict) -> Any | None:
    """A dataset whose files are not read yet.

    Args:
        cfg (dict): Its config; not changed.

    Returns:
        Dataset, optional: None for one that cannot be built so; what is wrong
        with it is told when it is built.
    """
    try:
        return DATASETS.build({**copy.deepcopy(cfg), 'lazy_init': True, 'pipeline': []})
    except Exception:
        return None


def lists_folders(dataset: Any) -> bool:
    """Whether its samples are the files of folders, as mmpretrain's
    ``CustomDataset`` takes them without an ``ann_file``."""
    return hasattr(dataset, '_find_samples') and not dataset.ann_file


def names_classes_by_folder(dataset: Any) -> bool:
    """Whether the classes are the folders, numbered in their order."""
    return lists_folders(dataset) and bool(getattr(dataset, 'with_label', False))


def is_local(path: Any) -> bool:
    """Whether it is a path of this machine's file system."""
    return isinstance(path, str) and bool(path) and '://' not in path
