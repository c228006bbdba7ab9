"""A dataset of some samples of another dataset."""

from collections.abc import Sequence
from typing import Any

from mmengine.dataset import BaseDataset
from torch.utils.data import Dataset

from ..registry import DATASETS
from .strata import classes_of


class Part(Dataset):
    """Some samples of a dataset, chosen by their indices, in that order.

    It has all methods that OpenMMLab's loops, samplers, evaluators and
    wrappers call on a dataset.

    Args:
        dataset (dict or Dataset): The whole dataset, from mmpretrain, mmdet or
            mmseg, or a ``ConcatDataset``.
    """

    def __init__(self, dataset: dict | BaseDataset) -> None:
        if isinstance(dataset, dict):
            dataset = DATASETS.build(dataset)
        # It comes from one of three libraries, each with its own methods.
        self.dataset: Any = dataset
        self.dataset.full_init()
        self.indices: Sequence[int] = range(len(self.dataset))

    @property
    def metainfo(self) -> dict:
        """Meta information of the whole dataset."""
        return self.dataset.metainfo

    @property
    def ignore_index(self) -> int:
        """Id of mask pixels that belong to no class."""
        return getattr(self.dataset, 'ignore_index', 255)

    def full_init(self) -> None:
        """Does nothing: the whole dataset is initialised already."""

    def get_data_info(self, index: int) -> dict:
        """Raw information about a sample of this part."""
        return self.dataset.get_data_info(self.indices[index])

    def get_cat_ids(self, index: int) -> list[int]:
        """Class ids of a sample of this part."""
        if hasattr(self.dataset, 'get_cat_ids'):
            return self.dataset.get_cat_ids(self.indices[index])
        return sorted(classes_of(self.get_data_info(index)))

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Any:
        return self.dataset[self.indices[index]]
