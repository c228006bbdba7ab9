"""Builds datasets with their paths and classes, before they read files."""

import copy
from typing import Any, TypeGuard

from ...registry import DATASETS


def unread(cfg: dict) -> Any:
    """A dataset whose files are not read yet.

    Args:
        cfg (dict): Its config; not changed.

    Returns:
        Dataset, optional: None if it cannot be built in this way. Building it
        later shows what is wrong.
    """
    try:
        return DATASETS.build({**copy.deepcopy(cfg), 'lazy_init': True, 'pipeline': []})
    except Exception:
        return None


def lists_folders(dataset: Any) -> bool:
    """Whether its samples are the files in folders.

    mmpretrain's ``CustomDataset`` lists folders if it has no ``ann_file``.
    """
    return hasattr(dataset, '_find_samples') and not dataset.ann_file


def names_classes_by_folder(dataset: Any) -> bool:
    """Whether the folders are the classes and are numbered in their order."""
    return lists_folders(dataset) and bool(getattr(dataset, 'with_label', False))


def is_local(path: Any) -> TypeGuard[str]:
    """Whether it is a path in the local file system."""
    return isinstance(path, str) and bool(path) and '://' not in path
