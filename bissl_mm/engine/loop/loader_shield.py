"""Keeps SIGTERM to a whole process group away from the loaders of a run."""

import threading
from contextlib import ExitStack
from functools import partial

from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from ...utils.worker_signals import shield_worker, shielded_workers


class LoaderShieldHook(Hook):
    """A SIGTERM to the whole process group does not end worker processes.

    It comes before all other hooks: some of them read validation images before
    the first step, and persistent workers stay. In another thread than the main
    one it does nothing.
    """

    priority = 'HIGHEST'

    def __init__(self) -> None:
        self._shield = ExitStack()

    def before_train(self, runner: Runner) -> None:
        """Shield the processes that start from now on."""
        if threading.current_thread() is not threading.main_thread():
            return
        self._shield.enter_context(shielded_workers())
        loader = getattr(runner.val_loop, 'dataloader', None)
        if isinstance(loader, DataLoader):
            # Its workers need not be forked.
            loader.worker_init_fn = partial(shield_worker, loader.worker_init_fn)

    def on_exit(self, runner: Runner) -> None:
        """Shield no more."""
        self._shield.close()
