"""A part of a labelled dataset with the class proportions kept."""

from typing import Any, List, Union

import torch
from mmengine.dataset import BaseDataset
from torch.utils.data import Dataset

from ..registry import DATASETS
from ..utils.check import check_keys
from ..utils.errors import ValueRefusal
from ..utils.random import fold_seed


@DATASETS.register_module()
@check_keys
class StratifiedPart(Dataset):
    """The same share of every class, or the rest.

    For datasets without a validation part: the paper sets about 20% of the
    training data aside, class by class (B.1, arXiv:2410.02387).

    Args:
        dataset (dict): A classification dataset whose samples have one
            ``gt_label``.
        share (float): Share of each class in the part, between 0 and 1;
            rounded to whole samples.
        complement (bool): Take the rest instead. Defaults to False.
        seed (int): Seed of the split; a part and its complement need the
            same. Defaults to 0.

    Raises:
        ValueError: If ``share`` is out of range or the part is empty.
    """

    def __init__(self,
                 dataset: Union[dict, BaseDataset],
                 share: float,
                 complement: bool = False,
                 seed: int = 0) -> None:
        if not 0 < share < 1:
            raise ValueRefusal('StratifiedPart: share must lie between 0 and '
                               f'1, but is {share!r}.')
        if isinstance(dataset, dict):
            dataset = DATASETS.build(dataset)
        dataset.full_init()
        self.dataset = dataset
        self.indices = self._select(share, complement, seed)
        if not self.indices:
            raise ValueRefusal(
                f'StratifiedPart: share={share} of {len(dataset)} samples '
                'leaves this part empty. Choose another share.')

    @property
    def metainfo(self) -> dict:
        """Meta information of the whole dataset."""
        return self.dataset.metainfo

    def full_init(self) -> None:
        """Nothing left to do."""

    def get_data_info(self, index: int) -> dict:
        """Raw information of a sample of the part."""
        return self.dataset.get_data_info(self.indices[index])

    def get_cat_ids(self, index: int) -> List[int]:
        """Label of a sample of the part, in a list."""
        return self.dataset.get_cat_ids(self.indices[index])

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Any:
        return self.dataset[self.indices[index]]

    def _select(self, share: float, complement: bool,
                seed: int) -> List[int]:
        by_label = {}
        for i in range(len(self.dataset)):
            label = int(self.dataset.get_data_info(i)['gt_label'])
            by_label.setdefault(label, []).append(i)
        chosen = []
        for label, members in by_label.items():
            generator = torch.Generator().manual_seed(
                fold_seed(seed, 'stratified', label))
            order = torch.randperm(len(members), generator=generator)
            cut = round(share * len(members))
            part = order[cut:] if complement else order[:cut]
            chosen.extend(members[i] for i in part.tolist())
        return sorted(chosen)
