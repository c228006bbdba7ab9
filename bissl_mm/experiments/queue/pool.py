"""Worker processes of one machine, which are replaced when they die."""

import os
import signal
import threading
import time
from collections.abc import Callable, Mapping
from multiprocessing import get_context
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess

from ...utils.errors import RuntimeRefusal, ValueRefusal
from ...utils.processes import ONE_THREAD, end_with_parent
from .node import Graph
from .store import Store
from .worker import MAX_DEATHS, Execute, Outlook, outlook, work

#: Seconds between two looks at the progress.
LOOK = 1.0
#: Seconds that workers have to save and end after SIGTERM.
GRACE = 30.0


def run_graph(
    store: Store,
    graph: Graph,
    execute: Execute,
    workers: int = 1,
    devices: Callable[[int], str] = lambda index: '',
    progress: Callable[[int, str], None] = lambda done, text: None,
) -> Outlook:
    """Execute a graph with several processes.

    A process that dies is replaced. Its run starts again, the others are not
    touched. All end with this process.

    Args:
        store (Store): Its folder may be that of other machines, too.
        graph (Graph): All runs.
        execute (Callable): See :data:`~.worker.Execute`; pickled.
        workers (int): Number of processes. Results do not depend on it.
        devices (Callable): The value of ``CUDA_VISIBLE_DEVICES`` for the worker
            with a number; '' leaves it alone.
        progress (Callable): Called now and then with the number of finished
            runs and with a line about what happened, which may be empty.

    Returns:
        Outlook: What is not finished in the end: failed runs and those that
        need them.

    Raises:
        ValueError: If the number of workers is not positive.
        RuntimeError: If processes die before they take a run.
    """
    if workers < 1:
        raise ValueRefusal(f'--workers {workers} is too small. Type 1 or more.')
    state = store.state(graph)
    forgiven = {
        key: attempt.number
        for key, attempt in state.attempts.items()
        if not attempt.alive
    }
    context = get_context('spawn')

    def start(index: int) -> BaseProcess:
        process = context.Process(
            target=_worker,
            args=(str(store.folder), graph, execute, forgiven, devices(index)),
        )
        process.start()
        return process

    running = {index: start(index) for index in range(workers)}
    deaths = _Deaths()
    try:
        with _sigterm_as_exit():
            while running:
                wait([p.sentinel for p in running.values()], LOOK)
                done = len(store.done() & set(graph.nodes))
                progress(done, '')
                for index, process in list(running.items()):
                    if process.exitcode is None:
                        continue
                    del running[index]
                    if process.exitcode:
                        deaths.count(process, store, graph)
                        progress(done, f'{_end(process)}; its run starts again.')
                        running[index] = start(index)
    finally:
        _end_all(running.values())
    return outlook(graph, store.state(graph), forgiven)


def _worker(
    folder: str,
    graph: Graph,
    execute: Execute,
    forgiven: Mapping[str, int],
    device: str,
) -> None:
    end_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Before torch is imported.
    os.environ.update(ONE_THREAD)
    if device:
        os.environ['CUDA_VISIBLE_DEVICES'] = device
    work(Store(folder), graph, execute, forgiven)


class _Deaths:
    """Refuses to go on where processes die and nothing moves on."""

    def __init__(self) -> None:
        self._number, self._moved = 0, (0, 0)

    def count(self, process: BaseProcess, store: Store, graph: Graph) -> None:
        """One more process died."""
        state = store.state(graph)
        attempts = sum(a.number for a in state.attempts.values())
        moved = (len(state.done), attempts)
        self._number = self._number + 1 if moved == self._moved else 1
        self._moved = moved
        if self._number >= MAX_DEATHS:
            raise RuntimeRefusal(
                f'{self._number} worker processes ended and took no run, the last '
                f'with exit status {process.exitcode}. What they printed says why.'
            )


def _end(process: BaseProcess) -> str:
    status = process.exitcode
    if status is not None and status < 0:
        return f'Worker process {process.pid} was ended by signal {-status}'
    return f'Worker process {process.pid} ended with exit status {status}'


def _end_all(processes) -> None:
    """End workers: by SIGTERM, at which a bilevel stage saves, then by force."""
    processes = list(processes)
    for process in processes:
        process.terminate()
    until = time.time() + GRACE
    for process in processes:
        process.join(max(0.0, until - time.time()))
        if process.exitcode is None:
            process.kill()
            process.join()


class _sigterm_as_exit:
    """Inside, SIGTERM ends this process as Ctrl-C does: workers end first."""

    def __enter__(self) -> None:
        self._before = None
        # Signals arrive in the main thread alone.
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGTERM, _exit)

    def __exit__(self, *_) -> None:
        if self._before is not None:
            signal.signal(signal.SIGTERM, self._before)


def _exit(*_) -> None:
    raise SystemExit(143)
