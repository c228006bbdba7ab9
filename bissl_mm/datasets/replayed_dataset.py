"""Lets ordinary training replay its epochs after an interruption."""

from collections.abc import Iterator

from mmengine.dataset import DefaultSampler

from ..registry import DATA_SAMPLERS, DATASETS
from .seeded_dataset import SeededDataset
from .stream_parts import build_dataset


@DATASETS.register_module()
class ReplayedDataset(SeededDataset):
    """A dataset whose samples depend on seed, epoch and index only.

    mmengine's worker processes draw augmentations from generators whose states
    are lost when a run resumes. With this dataset, a run that resumes from a
    checkpoint after an epoch gets the samples of an uninterrupted run. It needs
    :class:`ReplayedSampler`.

    Args:
        dataset (dict): Config of the dataset.
        seed (int): Seed of the augmentations. Defaults to 0.
    """

    def __init__(self, dataset: dict, seed: int = 0) -> None:
        super().__init__(build_dataset('ReplayedDataset', dataset), 'replayed', seed)

    @property
    def metainfo(self) -> dict:
        """Of the dataset within."""
        return getattr(self.dataset, 'metainfo', {})


@DATA_SAMPLERS.register_module()
class ReplayedSampler(DefaultSampler):
    """mmengine's order of an epoch, as ``(epoch, index)``."""

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return ((self.epoch, index) for index in super().__iter__())
