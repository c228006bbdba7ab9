"""Data of the two levels."""

from .level_stream import LevelBatchSampler, LevelStream
from .seeded_dataset import SeededDataset
from .stratified_part import StratifiedPart

__all__ = [
    'LevelBatchSampler', 'LevelStream', 'SeededDataset', 'StratifiedPart'
]
