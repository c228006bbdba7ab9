"""A dataset that can replay its random augmentations."""

from typing import Any

import torch
from mmengine.logging import print_log
from mmengine.structures import BaseDataElement
from torch.utils.data import Dataset

from ..utils.errors import ValueRefusal
from ..utils.random import fold_seed, seeded
from .readable import files_of, unreadable_file

#: A run stops if a larger share of a dataset's images is unreadable.
MAX_UNREADABLE_SHARE = 0.01


def ignored_ids(dataset: Any) -> set[int]:
    """The class ids of masks that a dataset, or those within it, ignore.

    Args:
        dataset: With ``dataset`` or ``datasets`` if it wraps others.

    Returns:
        set[int]: 255, the default of mmseg, if none says another.
    """
    inner = [getattr(dataset, 'dataset', None), *getattr(dataset, 'datasets', [])]
    found = [ignored_ids(each) for each in inner if each is not None]
    # Wrappers that have the attribute give a default to what has none.
    return set().union(*found) or {getattr(dataset, 'ignore_index', 255)}


class SeededDataset(Dataset):
    """Wraps a dataset so that a sample depends on (seed, level, pass, index).

    Every generator is seeded before a sample's pipeline runs and restored
    afterwards. So a sample is the same in every worker process and after every
    interruption.

    If an image or mask file cannot be read, a warning names it, and the next
    sample takes its place. Once more than 1% of the samples are unreadable, a
    ``ValueError`` names the last file.

    Args:
        dataset (Dataset): The dataset, indexed by whole numbers.
        level (str): Its level, for example ``'lower'``.
        seed (int): The run's seed.
    """

    def __init__(self, dataset: Dataset, level: str, seed: int) -> None:
        # It may come from any library and have its own methods.
        self.dataset: Any = dataset
        self.level = level
        self.seed = seed
        # Shared memory, in which worker processes mark unreadable samples.
        self._unreadable = torch.zeros(
            len(self.dataset), dtype=torch.uint8
        ).share_memory_()

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, key: tuple[int, int]) -> Any:
        number, index = key
        seed = fold_seed(self.seed, self.level, 'sample', number, index)
        for offset in range(len(self)):
            current = (index + offset) % len(self)
            try:
                with seeded(seed):
                    sample = self.dataset[current]
            except Exception as error:
                bad = unreadable_file(self.dataset, current)
                if bad is None:
                    raise RuntimeError(
                        f'{self.level} dataset: sample {current} '
                        f'({self._named(current)}) '
                        'could not be prepared: '
                        f'{type(error).__name__}: {error}'
                    ) from error
                self._report(current, *bad, error)
                continue
            self._check_mask(sample, current)
            return sample
        raise AssertionError('unreachable: every image is unreadable')

    def _check_mask(self, sample: Any, index: int) -> None:
        """Refuse class ids that are out of range.

        A cross entropy fails on them with an assertion on the device that names
        neither the image nor the id.
        """
        data_sample = sample.get('data_samples') if isinstance(sample, dict) else None
        if (
            not isinstance(data_sample, BaseDataElement)
            or 'gt_sem_seg' not in data_sample
        ):
            return
        classes = (getattr(self.dataset, 'metainfo', None) or {}).get('classes')
        ignored = ignored_ids(self.dataset)
        mask = data_sample.get('gt_sem_seg').data
        if not classes or mask.max() < len(classes):
            return
        found = [
            i for i in mask.unique().tolist() if i >= len(classes) and i not in ignored
        ]
        if found:
            raise ValueRefusal(
                f'{self.level} dataset: the mask of sample {index} '
                f'({self._named(index)}) has class id(s) '
                f'{found[:5]}, but the dataset declares {len(classes)} '
                f'classes (0 to {len(classes) - 1}) and ignores '
                f'{", ".join(map(str, sorted(ignored)))}. '
                'Correct the mask or metainfo.classes, or set reduce_zero_label, '
                'which shifts ids by one. An ignore_index of your own has to be that '
                'of the dataset, of the heads and of the metrics.'
            )

    @property
    def unreadable(self) -> list[str]:
        """Paths of the images found unreadable so far, in any process."""
        numbers = self._unreadable.nonzero().flatten().tolist()
        return [self._image_path(i) or '' for i in numbers]

    def _report(self, index: int, what: str, path: str, error: Exception) -> None:
        self._unreadable[index] = 1
        count = int(self._unreadable.sum())
        total = len(self)
        if count > MAX_UNREADABLE_SHARE * total:
            named = f"'{path}'" if what == 'image' else f"the mask '{path}'"
            raise ValueRefusal(
                f'{self.level} dataset: {count} of {total} images cannot be '
                f'read, which is more than {MAX_UNREADABLE_SHARE:.0%}. The last '
                f'one is {named} ({type(error).__name__}: {error}). Replace or '
                'remove the damaged files.'
            ) from error
        print_log(
            f"{self.level} dataset: {what} '{path}' cannot be read "
            f'({type(error).__name__}) and is skipped; {count} of {total} '
            'so far.',
            logger='current',
            level=30,
        )

    def _image_path(self, index: int) -> str | None:
        """Image file of a sample; None if the dataset does not say."""
        return files_of(self.dataset, index).get('image')

    def _named(self, index: int) -> str:
        return ', mask '.join(files_of(self.dataset, index).values()) or 'no file'
