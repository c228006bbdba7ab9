"""Some samples of a dataset, itself a dataset."""

from collections.abc import Sequence
from typing import Any

from mmengine.dataset import BaseDataset
from torch.utils.data import Dataset

from ..registry import DATASETS
from .strata import classes_of


class Part(Dataset):
    """The samples of a dataset that have these indices, in their order.

    It offers what loops, samplers, evaluators and wrappers of OpenMMLab ask a
    dataset for.

    Args:
        dataset (dict or Dataset): The whole dataset, of mmpretrain, mmdet or
            mmseg, also a ``ConcatDataset``.
    """

    def __init__(self, dataset: dict | BaseDataset) -> None:
        if isinstance(dataset, dict):
            dataset = DATASETS.build(dataset)
        dataset.full_init()
        self.dataset = dataset
        self.indices: Sequence[int] = range(len(dataset))

    @property
    def metainfo(self) -> dict:
        """Meta information of the whole dataset."""
        return self.dataset.metainfo

    @property
    def ignore_index(self) -> int:
        """Id of a mask's pixels that no class has."""
        return getattr(self.dataset, 'ignore_index', 255)

    def full_init(self) -> None:
        """Nothing left to do."""

    def get_data_info(self, index: int) -> dict:
        """Raw information of a sample of the part."""
        return self.dataset.get_data_info(self.indices[index])

    def get_cat_ids(self, index: int) -> list[int]:
        """Class ids of a sample of the part."""
        if hasattr(self.dataset, 'get_cat_ids'):
            return self.dataset.get_cat_ids(self.indices[index])
        return sorted(classes_of(self.get_data_info(index)))

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Any:
        return self.dataset[self.indices[index]]
