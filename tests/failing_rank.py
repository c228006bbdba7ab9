"""Components that fail on one rank; a test's config registers them."""

import os

from mmengine.hooks import Hook
from mmengine.registry import DATASETS, HOOKS
from mmpretrain.datasets import CustomDataset


@DATASETS.register_module()
class FailsOnRankOne(CustomDataset):
    """Its tenth sample cannot be prepared on rank 1."""

    loaded = 0

    def __getitem__(self, index):
        self.loaded += 1
        if os.environ['RANK'] == '1' and self.loaded == 10:
            raise LookupError('boom in the data')
        return super().__getitem__(index)


@HOOKS.register_module()
class SignalAllRanks(Hook):
    """Sends SIGTERM to every process in the second alternation."""

    def after_lower_step(self, runner, logs):
        if runner.iter == 1:
            os.kill(os.getpid(), 15)
