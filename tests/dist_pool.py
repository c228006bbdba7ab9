"""Two processes joined by gloo, kept for the whole test session."""

import importlib
import os
import queue
import tempfile
import traceback
from collections import Counter

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch.utils._python_dispatch import TorchDispatchMode

TIMEOUT = 120


def _work(rank: int, world: int, store: str, tasks, results) -> None:
    torch.set_num_threads(1)
    dist.init_process_group(
        'gloo', init_method=f'file://{store}', rank=rank, world_size=world
    )
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(world))
    while True:
        task = tasks.get()
        if task is None:
            break
        module, name, args = task
        try:
            function = getattr(importlib.import_module(module), name)
            results.put((rank, True, function(rank, world, *args)))
        except BaseException:
            results.put((rank, False, traceback.format_exc()))
    dist.destroy_process_group()


class Collectives(TorchDispatchMode):
    """Counts the collectives that this process takes part in, by name."""

    def __init__(self):
        super().__init__()
        self.found = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func.namespace == 'c10d':
            self.found[func.__name__.split('.')[0]] += 1
        return func(*args, **(kwargs or {}))


class Pool:
    """Runs a module's function on every rank and collects what it returns.

    After a failure the processes are ended, and the next function has new ones: an
    answer that comes late would be taken for that of another test.
    """

    def __init__(self, world: int = 2) -> None:
        self.world = world
        self._processes: list[mp.Process] = []

    def _start(self) -> None:
        context = mp.get_context('spawn')
        self._folder = tempfile.TemporaryDirectory()
        store = os.path.join(self._folder.name, 'store')
        self._tasks = [context.Queue() for _ in range(self.world)]
        self._results = context.Queue()
        self._processes = [
            context.Process(
                target=_work,
                daemon=True,
                args=(rank, self.world, store, self._tasks[rank], self._results),
            )
            for rank in range(self.world)
        ]
        for process in self._processes:
            process.start()

    def run(self, function, *args) -> list:
        """What each rank's ``function(rank, world, *args)`` returned."""
        if not self._processes:
            self._start()
        for tasks in self._tasks:
            tasks.put((function.__module__, function.__name__, args))
        found = {}
        while len(found) < self.world:
            try:
                rank, good, value = self._results.get(timeout=TIMEOUT)
            except queue.Empty:
                self._end()
                raise TimeoutError(
                    f'rank(s) {set(range(self.world)) - set(found)} did not '
                    f'answer within {TIMEOUT} s'
                ) from None
            if not good:
                self._end()
                raise RuntimeError(f'rank {rank}:\n{value}')
            found[rank] = value
        return [found[rank] for rank in range(self.world)]

    def _end(self, seconds: float = 0.0) -> None:
        for process in self._processes:
            process.join(seconds)
            if process.is_alive():
                process.kill()
        self._processes = []
        self._folder.cleanup()

    def close(self) -> None:
        if self._processes:
            for tasks in self._tasks:
                tasks.put(None)
            self._end(10.0)
