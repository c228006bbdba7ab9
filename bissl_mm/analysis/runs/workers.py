"""Executes independent runs in parallel, in processes of one thread each.

Threads of one process wait for each other at every operation. If another
process uses a core, they take 15 to 20 times as long. Processes do not wait for
each other. ``concurrent.futures`` of the standard library runs them, because its
processes may have children (data loaders) and it reports when one has died.
"""

import gc
import logging
import os
import signal
import threading
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from importlib import import_module
from multiprocessing import get_context
from typing import Any

import torch
from mmengine.config import Config
from mmengine.logging import MMLogger

from ...engine.launch import prepare_processes
from ...utils.console import quiet_console
from ...utils.errors import RuntimeRefusal, ValueRefusal
from ...utils.processes import ONE_THREAD, end_with_parent


class InTurn:
    """Executes runs in this process, one after another, as a worker would."""

    def __init__(self) -> None:
        self._waiting: deque[tuple] = deque()

    def __enter__(self) -> 'InTurn':
        self._threads = torch.get_num_threads()
        # With more threads, sums would be formed in another order.
        torch.set_num_threads(1)
        return self

    def __exit__(self, *error) -> None:
        torch.set_num_threads(self._threads)
        self._waiting.clear()

    def __len__(self) -> int:
        """Number of runs that were submitted and not returned yet."""
        return len(self._waiting)

    def submit(self, run: Any, function: Callable, *args) -> None:
        """See :meth:`Workers.submit`."""
        self._waiting.append((run, function, args))

    def next(self) -> tuple[Any, Any]:
        """See :meth:`Workers.next`."""
        run, function, args = self._waiting.popleft()
        try:
            return run, function(*args)
        except Exception as error:
            raise _named(error, str(run)) from error


def check_workers(number: int) -> None:
    """Refuse fewer than one process.

    Args:
        number (int): Number of processes.

    Raises:
        ValueError: If it is not positive.
    """
    if number < 1:
        raise ValueRefusal(f'--workers {number} is too small. Type 1 or more.')


class Workers:
    """Processes that execute one run after another.

    They start at once and import the libraries while this process continues.
    They end with the ``with`` block, immediately after an error or Ctrl-C. They
    also end when this process ends, for whatever reason. Each process sees one
    GPU, if there are any.

    Args:
        number (int): Number of processes. Results do not depend on it.
        scopes (Sequence[str]): OpenMMLab libraries to import in advance.

    Raises:
        ValueError: If the number is not positive.
    """

    def __init__(self, number: int, scopes: Sequence[str] = ()) -> None:
        check_workers(number)
        self._running: dict[Future, Any] = {}
        context = get_context('spawn')
        devices = context.SimpleQueue()
        for index in range(number):
            devices.put(visible_device(index))
        self._executor = ProcessPoolExecutor(
            number, context, initializer=_prepare, initargs=(devices, tuple(scopes))
        )
        with environment(ONE_THREAD), _ignored_interrupt():
            # No process is idle yet, so each of these tasks starts one.
            for _ in range(number):
                self._executor.submit(os.getpid)

    def __enter__(self) -> 'Workers':
        return self

    def __exit__(self, kind, *_) -> None:
        if kind is not None or self._running:
            # Public only from Python 3.14 on: kill_workers().
            for process in list((self._executor._processes or {}).values()):
                process.kill()
        self._executor.shutdown(cancel_futures=True)

    def __len__(self) -> int:
        """Number of runs that were submitted and not returned yet."""
        return len(self._running)

    def submit(self, run: Any, function: Callable, *args) -> None:
        """Have a function called in a process.

        Args:
            run: An object that :meth:`next` returns with the result. Error
                messages contain its text.
            function (Callable): A function of a module. It and ``args`` are
                pickled.
        """
        self._running[self._executor.submit(function, *args)] = run

    def next(self) -> tuple[Any, Any]:
        """Wait for a run to end.

        Returns:
            tuple: The submitted ``run``, and the function's result.

        Raises:
            RuntimeError: If the run failed or its process died; the message
                names the run.
        """
        done, _ = wait(self._running, return_when=FIRST_COMPLETED)
        # Results come before errors, because they are worth keeping.
        future = min(done, key=lambda f: f.exception() is not None)
        error = future.exception()
        if isinstance(error, BrokenProcessPool):
            raise RuntimeRefusal(
                'A worker process died, most likely because memory ran out. '
                'Finished runs are kept. Unfinished: '
                f'{"; ".join(map(str, self._running.values()))}. Type a smaller '
                'number after --workers.'
            ) from error
        run = self._running.pop(future)
        if error is not None:
            raise _named(error, str(run)) from error
        return run, future.result()


def start_workers(number: int, scopes: Sequence[str] = ()):
    """:class:`Workers`, or :class:`InTurn` for one process.

    Args:
        number (int): Number of processes. Results do not depend on it.
        scopes (Sequence[str]): OpenMMLab libraries that the runs need.
    """
    return InTurn() if number == 1 else Workers(number, scopes)


def default_number() -> int:
    """One worker per GPU, or per core if there is no GPU."""
    if torch.cuda.is_available():
        return torch.cuda.device_count()
    if hasattr(os, 'sched_getaffinity'):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _named(error: BaseException, name: str) -> Exception:
    """The error with the run's name before its message, of the same class."""
    text = f'{name}: {error}'
    try:
        named = type(error)(text)
        is_it = isinstance(named, Exception) and str(named) == text
        return named if is_it else RuntimeError(text)
    except Exception:
        return RuntimeError(text)


def visible_device(index: int) -> str:
    """The value of a worker's ``CUDA_VISIBLE_DEVICES``; '' without a GPU."""
    if not torch.cuda.is_available():
        return ''
    visible = os.environ.get('CUDA_VISIBLE_DEVICES')
    names = (
        visible.split(',')
        if visible
        else [str(i) for i in range(torch.cuda.device_count())]
    )
    return names[index % len(names)].strip()


@contextmanager
def environment(values: dict[str, str]) -> Iterator[None]:
    """Environment variables that hold within the block.

    Args:
        values (dict): Name -> value; what was there before is put back.
    """
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def _ignored_interrupt() -> Iterator[None]:
    """Processes that start inside ignore Ctrl-C, which reaches all processes."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _prepare(devices, scopes: Sequence[str]) -> None:
    """Set up a worker process."""
    end_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    device = devices.get()
    if device:
        os.environ['CUDA_VISIBLE_DEVICES'] = device
    quiet_console()
    torch.set_num_threads(1)
    warnings.filterwarnings('ignore')
    MMLogger.get_instance('mmengine').setLevel(logging.ERROR)
    prepare_processes(Config(dict(launcher='none')))
    for module in ('bissl_mm.models', 'bissl_mm.datasets', 'bissl_mm.engine'):
        import_module(module)
    for scope in scopes:
        import_module(f'{scope}.utils').register_all_modules(False)
    # mmengine collects garbage whenever it builds a dataset. Objects of the
    # libraries that are imported already are never garbage, so skip them.
    gc.freeze()
