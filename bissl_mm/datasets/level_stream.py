"""An endless, resumable stream of batches for one level."""

import copy
from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from torch.utils.data import DataLoader

from ..config.dataloaders import pin_loader
from ..utils.check import check_mapping, check_positive_int
from ..utils.errors import ValueRefusal
from ..utils.total_batch import batch_size_of
from ..utils.worker_signals import held_sigterm, shield_worker
from .level_sampler import LevelBatchSampler
from .seeded_dataset import SeededDataset
from .stream_parts import build_collate, build_dataset, read_sampler

_DATALOADER_KEYS = (
    'batch_size',
    'total_batch_size',
    'num_workers',
    'dataset',
    'sampler',
    'batch_sampler',
    'collate_fn',
    'pin_memory',
    'drop_last',
    'persistent_workers',
    'prefetch_factor',
    'timeout',
)


class LevelStream:
    """The data of one level, batch after batch, without end.

    Args:
        dataloader (dict): A dataloader config in mmengine's form. The stream
            decides the order, so ``sampler`` may only be absent or a
            ``DefaultSampler``; only its ``shuffle`` is read. Batches are
            always full.
        level (str): ``'lower'``, ``'upper'`` or ``'head_warmup'``.
        phase_size (int, optional): Batches per phase. Defaults to None: a
            whole pass.
        rank (int): Rank of this process. Defaults to 0.
        world_size (int): Number of processes. Defaults to 1.

    Raises:
        TypeError: For an unknown key, an iterable-style dataset or a sampler
            that the stream cannot use.
        ValueError: If the dataset is smaller than one batch of all
            processes, or if they cannot share a ``total_batch_size`` evenly.
    """

    def __init__(
        self,
        dataloader: dict,
        level: str,
        phase_size: int | None = None,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        where = f'{level} dataloader'
        cfg = check_mapping(where, dataloader, _DATALOADER_KEYS)
        if 'dataset' not in cfg:
            raise ValueRefusal(
                f'{where}: the key dataset is missing. Add dataset=dict(type=...).'
            )
        self.level = level
        key = 'train_cfg.pretext_dataloader' if level == 'lower' else 'train_dataloader'
        self.batch_size = batch_size_of(key, cfg, world_size)
        check_positive_int(where, 'batch_size', self.batch_size)
        self._shuffle = read_sampler(
            where, cfg.pop('sampler', None), cfg.pop('batch_sampler', None)
        )
        for name in (
            'batch_size',
            'total_batch_size',
            'drop_last',
            'persistent_workers',
        ):
            cfg.pop(name, None)
        if not cfg.get('num_workers'):
            # torch's loader refuses this setting without worker processes.
            cfg.pop('prefetch_factor', None)
        pin_loader(cfg, torch.cuda.is_available())
        self.dataset = build_dataset(where, cfg.pop('dataset'))
        self._collate = build_collate(cfg.pop('collate_fn', None))
        self._loader_cfg = cfg
        self._rank, self._world_size = rank, world_size
        size = len(self.dataset)
        if size < self.batch_size * world_size:
            raise ValueRefusal(
                f'{where}: the dataset has {size} samples, fewer than one '
                f'batch of {self.batch_size} on each of {world_size} '
                f'process(es). Set {key}.batch_size to at most '
                f'{size // world_size}, or check the data path.'
            )
        self._phase_size = phase_size or len(self)
        self.position = 0
        self._iterator: Iterator | None = None
        self.sampler: LevelBatchSampler | None = None

    def __len__(self) -> int:
        """Batches per pass."""
        return len(self.dataset) // (self.batch_size * self._world_size)

    def sibling(self, level: str) -> 'LevelStream':
        """A stream over the same data for another level, in whole passes.

        Call its :meth:`start` separately.
        """
        stream = copy.copy(self)
        stream.level = level
        stream._phase_size = len(self)
        stream.position, stream._iterator, stream.sampler = 0, None, None
        return stream

    def start(self, seed: int, state: dict | None = None) -> None:
        """Set the seed and, for a resumed run, the position.

        Args:
            seed (int): The run's seed.
            state (dict, optional): What :meth:`state_dict` returned.

        Raises:
            ValueError: If data or settings have changed, so that the stream
                would continue with other samples.
        """
        self.close()
        self.samples = SeededDataset(self.dataset, self.level, seed)
        self.sampler = LevelBatchSampler(
            len(self.dataset),
            self.batch_size,
            self._phase_size,
            self.level,
            seed,
            self._rank,
            self._world_size,
            self._shuffle,
        )
        self.position = 0
        if state is not None:
            self._check_same(state)
            self.position = state['position']

    def next(self) -> Any:
        """The next batch of this rank, collated."""
        if self._iterator is None:
            self.sampler.start = self.position
            loader = DataLoader(
                self.samples,
                batch_sampler=self.sampler,
                collate_fn=self._collate,
                worker_init_fn=partial(shield_worker, None),
                # Otherwise it draws a number from the global generator.
                generator=torch.Generator(),
                **self._loader_cfg,
            )
            with held_sigterm():
                self._iterator = iter(loader)
        batch = next(self._iterator)
        self.position += 1
        return batch

    def batch_at(self, number: int) -> Any:
        """The batch with this number, loaded in this process."""
        return self._collate([self.samples[key] for key in self.sampler.keys(number)])

    def first_sample(self) -> Any:
        """A batch of the first sample alone; the order does not advance."""
        return self._collate([self.dataset[0]])

    def state_dict(self) -> dict:
        """The position, and what must not change before the run resumes."""
        return dict(position=self.position, **self._fingerprint())

    def close(self) -> None:
        """End the worker processes."""
        self._iterator = None

    @property
    def unreadable(self) -> list[str]:
        """Paths of the images that could not be read."""
        return self.samples.unreadable if self.sampler is not None else []

    def _fingerprint(self) -> dict:
        found = dict(
            dataset_size=len(self.dataset),
            batch_size=self.batch_size,
            phase_size=self._phase_size,
            world_size=self._world_size,
            shuffle=self._shuffle,
            seed=self.sampler.seed,
        )
        if not self._shuffle:
            # Earlier versions started every pass at the first sample.
            found['order'] = 'goes on'
        return found

    def _check_same(self, state: dict) -> None:
        for key, value in self._fingerprint().items():
            if state.get(key) != value:
                raise ValueRefusal(
                    f'{self.level} dataloader: {key} is {value} now but was '
                    f'{state.get(key)} when the checkpoint was written, so the '
                    'run cannot continue with the same samples. Restore the '
                    'setting, or start a new run from the weights with '
                    'load_from instead of --resume.'
                )
