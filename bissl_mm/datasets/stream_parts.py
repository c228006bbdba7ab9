"""Reads what a level's stream needs from its dataloader's config."""

import logging
from collections.abc import Callable
from functools import partial
from typing import Any

from mmengine.logging import print_log
from mmengine.registry import FUNCTIONS
from torch.utils.data import IterableDataset

from ..config import is_type, type_name
from ..config.type_names import unknown_type
from ..registry import DATASETS
from ..utils.check import check_in, check_known_keys
from ..utils.errors import TypeRefusal
from .collate import collate_stacked


def build_dataset(where: str, dataset: Any) -> Any:
    """The dataset built from its config, or the given object."""
    if isinstance(dataset, dict):
        dataset = DATASETS.build(dataset)
        if hasattr(dataset, 'full_init'):
            dataset.full_init()
    if isinstance(dataset, IterableDataset):
        raise TypeRefusal(
            f'{where}: {type(dataset).__name__} is an iterable-style dataset, '
            'from which a run cannot resume exactly. Use a dataset with '
            '__getitem__ and __len__.'
        )
    return dataset


def build_collate(cfg: Any) -> Callable:
    """The function that joins samples to a batch.

    mmengine's default, ``pseudo_collate``, is replaced by
    :func:`collate_stacked`.
    """
    if callable(cfg):
        return cfg
    cfg = dict(cfg or dict(type='pseudo_collate'))
    if is_type(cfg, 'pseudo_collate'):
        return collate_stacked
    kind = cfg.pop('type')
    function = FUNCTIONS.get(kind) if isinstance(kind, str) else kind
    if function is None:
        raise unknown_type(str(kind), FUNCTIONS.name)
    return partial(function, **cfg)


def read_sampler(where: str, sampler: dict | None, batch_sampler: Any) -> bool:
    """Whether passes are permuted; refuses samplers that a stream cannot use."""
    if is_type(batch_sampler, 'AspectRatioBatchSampler'):
        # All stock configs of mmdet have it. It only saves padding.
        print_log(
            f'{where}: AspectRatioBatchSampler is left out, because the '
            "level's stream forms the batches. Portrait and landscape images "
            'share batches and are padded to one size. Set batch_sampler=None '
            'to silence this message.',
            logger='current',
            level=logging.WARNING,
        )
    elif batch_sampler is not None:
        raise TypeRefusal(
            f'{where}: batch_sampler={batch_sampler!r} cannot be used, because '
            "the level's stream forms the batches. Set batch_sampler=None."
        )
    if sampler is None:
        return True
    if not isinstance(sampler, dict):
        raise TypeRefusal(
            f'{where}: sampler must be a dict, but is {sampler!r}. Remove it.'
        )
    check_in(
        where,
        'sampler.type',
        type_name(sampler.get('type')),
        ('DefaultSampler', 'InfiniteSampler'),
    )
    check_known_keys(
        f'{where}.sampler', sampler, ('type', 'shuffle', 'seed', 'round_up', '_scope_')
    )
    return bool(sampler.get('shuffle', True))
