"""Strata: groups of samples of which a split takes equal shares."""

import os
import os.path as osp
from collections import Counter
from collections.abc import Callable, Hashable
from functools import cache
from typing import Any

import mmcv
import numpy as np
from mmengine.logging import print_log

from ..utils.errors import ValueRefusal

#: Above this number of masks, the log says that they are being read.
_MANY_MASKS = 1000


@cache
def _mask_ids(path: str) -> frozenset[int]:
    """Ids in a mask file, cached: splits of one dataset read the same files."""
    try:
        mask = mmcv.imread(path, flag='unchanged', backend='pillow')
    except Exception as error:
        raise ValueRefusal(
            f"The mask '{path}' cannot be read ({type(error).__name__}: "
            f'{error}), so the class of its image is unknown. Replace the '
            'file, or remove the image from the list.'
        ) from error
    return frozenset(np.unique(mask).tolist())


def classes_of(info: dict) -> frozenset[int]:
    """Ids of the classes in a sample.

    Args:
        info (dict): Raw information from ``get_data_info`` with
            ``instances`` (mmdet), ``seg_map_path`` (mmseg; the file is read)
            or ``gt_label`` (mmpretrain, one label or several).

    Raises:
        ValueError: If it has none of these, or if a mask cannot be read.
    """
    if 'instances' in info:
        return frozenset(box['bbox_label'] for box in info['instances'])
    if 'seg_map_path' in info:
        # 255 is not a class, and 0 is not one with reduce_zero_label. Other ids
        # are taken from the file; it does not matter here if some of them are
        # mapped to one class.
        no_class = {255, 0} if info.get('reduce_zero_label') else {255}
        return _mask_ids(info['seg_map_path']) - no_class
    if 'gt_label' in info:
        return frozenset(np.atleast_1d(info['gt_label']).tolist())
    raise ValueRefusal(
        'A sample has none of instances, seg_map_path and gt_label, so its '
        f'class is unknown; it has {", ".join(sorted(info))}. Set '
        "by='folder', or write the splits as lists of files."
    )


def _labels(dataset: Any) -> list[Hashable]:
    found = []
    for info in _infos(dataset):
        if not isinstance(info.get('gt_label'), (int, np.integer)):
            raise ValueRefusal(
                "by='label' needs one gt_label per sample, but a sample has "
                f'{info.get("gt_label")!r}. For boxes, masks or several '
                "labels set by='rarest_class' or by='folder'."
            )
        found.append(int(info['gt_label']))
    return found


def _folders(dataset: Any) -> list[Hashable]:
    # Folders are relative to the one that all files share. So the splits do not
    # depend on where the data are, and a/x and b/x are two strata.
    folders = [osp.abspath(osp.dirname(info['img_path'])) for info in _infos(dataset)]
    common = osp.commonpath(folders) if folders else ''
    return [osp.relpath(folder, common).replace(os.sep, '/') for folder in folders]


def _rarest_classes(dataset: Any) -> list[Hashable]:
    infos = _infos(dataset)
    if len(infos) > _MANY_MASKS and 'seg_map_path' in infos[0]:
        print_log(
            f'Reading {len(infos)} masks, so that every split gets its '
            'share of every class.',
            logger='current',
        )
    classes = [classes_of(info) for info in infos]
    images = Counter(i for found in classes for i in found)
    return [min(found, key=lambda i: (images[i], i), default=-1) for found in classes]


def _infos(dataset: Any) -> list[dict]:
    return [dataset.get_data_info(i) for i in range(len(dataset))]


#: Functions that take a dataset and return the stratum of every sample.
STRATA: dict[str, Callable[[Any], list[Hashable]]] = dict(
    label=_labels, folder=_folders, rarest_class=_rarest_classes
)
