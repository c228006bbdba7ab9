"""Joins the samples of a level to a batch."""

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.dataset import pseudo_collate
from torch import Tensor


def collate_stacked(samples: Sequence) -> Any:
    """mmengine's ``pseudo_collate``, with images of one size in one tensor.

    The images of a batch then travel to a GPU in one copy, and one is enough to
    pin them. OpenMMLab's data preprocessors take both forms and give the same
    values.

    Args:
        samples (Sequence): As a data set returns them.

    Returns:
        The batch. ``inputs`` has shape ``(N, C, H, W)`` if all images have one
        size and type; else it is a list of them.
    """
    batch = pseudo_collate(samples)
    images = batch.get('inputs') if isinstance(batch, dict) else None
    if (
        isinstance(images, list)
        and all(isinstance(x, Tensor) and x.dim() == 3 for x in images)
        and len({(x.shape, x.dtype) for x in images}) == 1
    ):
        batch['inputs'] = torch.stack(images)
    return batch
