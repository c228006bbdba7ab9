"""The data of the lower and the upper level."""

from .in_memory_dataset import InMemoryDataset
from .level_sampler import LevelBatchSampler
from .level_stream import LevelStream
from .replayed_dataset import ReplayedDataset, ReplayedSampler
from .seeded_dataset import SeededDataset
from .stratified_part import StratifiedPart
from .views import SimCLRViews
from .without_images import WithoutImages

__all__ = [
    'InMemoryDataset',
    'LevelBatchSampler',
    'LevelStream',
    'ReplayedDataset',
    'ReplayedSampler',
    'SeededDataset',
    'SimCLRViews',
    'StratifiedPart',
    'WithoutImages',
]
