"""Defines the order in which a level sees its data."""

from collections.abc import Iterator

import torch
from torch.utils.data import Sampler

from ..utils.random import fold_seed


class LevelBatchSampler(Sampler):
    """The samples of the n-th batch of a level, as a pure function of n.

    Each pass over the data has its own permutation. Without ``shuffle`` a pass
    continues in the data's order where the last one ended, and goes on at the
    beginning after the last sample.

    A phase draws ``phase_size`` batches. If fewer batches remain in a pass, a
    new pass begins, so that no phase sees a sample twice. If the whole dataset
    is too small for one phase, it is used batch by batch instead. B.4 counts
    the gradient steps of a phase. Here the batches of the Hessian count, too,
    because the released code draws them from the same stack.

    The ``rank``-th process takes its share of each total batch. So W processes
    with b samples each see what one process with W * b samples sees.

    Args:
        size (int): Number of samples of the dataset.
        batch_size (int): Samples per batch and process.
        phase_size (int): Batches per phase.
        level (str): Name of the level; each level has its own seed.
        seed (int): The run's seed.
        rank (int): Rank of this process.
        world_size (int): Number of processes.
        shuffle (bool): Whether passes are permuted. Defaults to True.

    Source:
        B.4, arXiv:2410.02387.
    """

    def __init__(
        self,
        size: int,
        batch_size: int,
        phase_size: int,
        level: str,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
        shuffle: bool = True,
    ) -> None:
        self.size = size
        self.batch_size = batch_size
        self.phase_size = phase_size
        self.level = level
        self.seed = seed
        self.rank = rank
        self.world_size = world_size
        self.shuffle = shuffle
        self.batches_per_pass = size // (batch_size * world_size)
        self.start = 0
        self._order: tuple[int, torch.Tensor | None] = (-1, None)

    def place(self, number: int) -> tuple[int, int]:
        """The pass of batch ``number`` and its position there, both from 0."""
        phases_per_pass = self.batches_per_pass // self.phase_size
        if phases_per_pass == 0:
            return divmod(number, self.batches_per_pass)
        phase, offset = divmod(number, self.phase_size)
        data_pass, phase_in_pass = divmod(phase, phases_per_pass)
        return data_pass, phase_in_pass * self.phase_size + offset

    def keys(self, number: int) -> list[tuple[int, int]]:
        """``(pass, sample index)`` of this rank's samples of a batch."""
        data_pass, position = self.place(number)
        order = self._pass_order(data_pass)
        begin = (position * self.world_size + self.rank) * self.batch_size
        return [(data_pass, i) for i in order[begin : begin + self.batch_size].tolist()]

    def set_epoch(self, epoch: int) -> None:
        """Nothing to do: the order follows from the batch number."""

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        number = self.start
        while True:
            yield self.keys(number)
            number += 1

    def _samples_per_pass(self) -> int:
        """Samples that all processes use per pass: those of whole phases."""
        phases = self.batches_per_pass // self.phase_size
        batches = phases * self.phase_size or self.batches_per_pass
        return batches * self.batch_size * self.world_size

    def _pass_order(self, data_pass: int) -> torch.Tensor:
        kept_pass, order = self._order
        if order is None or kept_pass != data_pass:
            generator = torch.Generator().manual_seed(
                fold_seed(self.seed, self.level, 'order', data_pass)
            )
            # Starting at the first sample again, each pass would leave out the
            # same last samples.
            order = (
                torch.randperm(self.size, generator=generator)
                if self.shuffle
                else torch.arange(self.size).roll(-data_pass * self._samples_per_pass())
            )
            self._order = (data_pass, order)
        return order
