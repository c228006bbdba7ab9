"""Prepares samples once, for networks that are faster than the decoder."""

import copy
import hashlib
import os
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import torch
from mmcv.transforms import Compose
from mmengine.structures import BaseDataElement
from torch.utils.data import Dataset

from ..registry import DATASETS
from ..utils.errors import ValueRefusal
from ..utils.random import seeded
from .readable import unreadable_file
from .stream_parts import build_dataset

#: Number of datasets whose samples a process keeps after they are deleted:
#: those of the splits of one stage, which the next run in the process uses, too.
MAX_KEPT = 8
#: Their samples by settings and files, the newest last.
KEPT: OrderedDict[str, list[Any]] = OrderedDict()


@DATASETS.register_module()
class InMemoryDataset(Dataset):
    """Runs a dataset's pipeline once per sample and keeps the results.

    So training steps do not decode or resize images. Random transforms come
    later: in ``pipeline``, or in :class:`bissl_mm.models.BatchViews` for whole
    batches. Runs in one process over the same files share the kept samples.
    A sample whose file cannot be read raises its error at each access, so that
    :class:`SeededDataset` can skip it.

    Args:
        dataset (dict): Config of an OpenMMLab dataset. Its pipeline must give
            the same sample each time. Samples should be small: 10,000 images
            of 32 px take 30 MB.
        pipeline (Sequence[dict]): Transforms that run on a copy of a kept
            sample at every access. Defaults to (), which means none.

    Raises:
        ValueError: If the pipeline of ``dataset`` draws at random, and at an
            access to a sample whose file cannot be read.
    """

    def __init__(self, dataset: dict, pipeline: Sequence[dict] = ()) -> None:
        self._config = repr(dataset)
        self.dataset = build_dataset('InMemoryDataset', dataset)
        self.pipeline = Compose(list(pipeline)) if pipeline else None
        self._samples: list[Any] | None = None
        self._keeps = True

    def keep_nothing(self) -> None:
        """Prepare samples at each access, for a check of only some of them."""
        self._keeps = False

    def full_init(self) -> None:
        """Prepare all samples, unless that is done already."""
        if self._samples is not None:
            return
        if not self._keeps:
            self._check_repeatable()
            return
        key = self._key()
        if key not in KEPT:
            self._check_repeatable()
            KEPT[key] = [self._sample(i) for i in range(len(self.dataset))]
            while len(KEPT) > MAX_KEPT:
                KEPT.popitem(last=False)
        KEPT.move_to_end(key)
        self._samples = KEPT[key]

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Any:
        self.full_init()
        kept = self._samples if self._keeps else None
        sample = self.dataset[index] if kept is None else kept[index]
        if isinstance(sample, str):
            raise ValueRefusal(sample)
        if self.pipeline is None:
            return {name: _twin(value) for name, value in sample.items()}
        return self.pipeline(copy.deepcopy(sample))

    @property
    def metainfo(self) -> dict:
        """Of the dataset within."""
        return getattr(self.dataset, 'metainfo', {})

    def get_data_info(self, index: int) -> dict:
        """Of the dataset within."""
        return self.dataset.get_data_info(index)

    def get_cat_ids(self, index: int) -> list[int]:
        """Of the dataset within."""
        return self.dataset.get_cat_ids(index)

    def _sample(self, index: int) -> Any:
        """A sample, or the sentence of its damaged file."""
        try:
            return self.dataset[index]
        except Exception as error:
            bad = unreadable_file(self.dataset, index)
            if bad is None:
                raise
            what, path = bad
            return (
                f"InMemoryDataset: the {what} '{path}' cannot be read "
                f'({type(error).__name__}: {error}). Replace or remove it.'
            )

    def _key(self) -> str:
        """A digest of the settings and of everything that samples are made of.

        The boxes of many images would be too long to keep twice.
        """
        digest = hashlib.sha256(self._config.encode())
        for i in range(len(self.dataset)):
            digest.update(repr(self._state(i)).encode())
        return digest.hexdigest()

    def _state(self, index: int) -> tuple:
        """Labels or boxes of a sample, and the present state of its files."""
        info = self.get_data_info(index)
        state = [repr(info)]
        for path in (info.get('img_path'), info.get('seg_map_path')):
            if path is not None and os.path.isfile(path):
                found = os.stat(path)
                state += [found.st_size, found.st_mtime_ns]
        return tuple(state)

    def _check_repeatable(self) -> None:
        for index in range(len(self.dataset)):
            samples = []
            try:
                for seed in (0, 1):
                    with seeded(seed):
                        samples.append(_pixels(self.dataset[index]))
                break
            except Exception:
                # The check of the data finds the damaged file.
                if unreadable_file(self.dataset, index) is None:
                    if self._keeps:
                        raise
                    return
        else:
            return
        if not torch.equal(*map(torch.as_tensor, samples)):
            raise ValueRefusal(
                'InMemoryDataset: dataset.pipeline draws at random, but runs '
                'only once per sample in the whole run. Move the random '
                'transforms from dataset.pipeline to pipeline, or to the data '
                'preprocessor (BatchViews).'
            )


def _pixels(sample: dict) -> Any:
    value = sample['inputs'] if 'inputs' in sample else sample['img']
    return value[0] if isinstance(value, (list, tuple)) else value


def _twin(value: Any) -> Any:
    """A copy of a data sample that can take predictions; it shares tensors."""
    if not isinstance(value, BaseDataElement):
        return value
    twin = copy.copy(value)
    for name in ('_metainfo_fields', '_data_fields'):
        if name in twin.__dict__:
            twin.__dict__[name] = set(twin.__dict__[name])
    return twin
