"""Keeps SIGTERM to a whole process group away from the loader workers.

A batch system, torch's launcher and ``timeout`` send SIGTERM to loader
workers, too. The death of a worker raises an error at any line of the main
process, even while it writes the checkpoint that the signal asked for. Imports
the standard library only.
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker

#: Seconds between two checks whether the parent is still alive.
INTERVAL = 1.0
#: macOS does not say who sent a signal, so workers are not shielded there.
SUPPORTED = hasattr(signal, 'sigtimedwait')

#: Process whose forked children are shielded.
_shielding: int | None = None
_shielded: int | None = None
_registered = False
_held = threading.local()


@contextmanager
def shielded_workers() -> Iterator[None]:
    """Inside, processes that this one forks are shielded from SIGTERM.

    These are the loader workers and the pool of an evaluation. For processes
    that are started in another way see :func:`shield_worker`.
    """
    global _shielding, _registered
    if SUPPORTED and not _registered:
        os.register_at_fork(
            before=_hold, after_in_parent=_release, after_in_child=_after_fork
        )
        _registered = True
    before, _shielding = _shielding, os.getpid()
    try:
        yield
    finally:
        _shielding = before


def shield_worker(then: Callable[[int], None] | None, worker: int) -> None:
    """A loader's ``worker_init_fn``, needed if workers are not forked.

    Args:
        then (Callable, optional): The loader's own ``worker_init_fn``.
        worker (int): Number of the worker.
    """
    _shield()
    if then is not None:
        then(worker)


@contextmanager
def held_sigterm() -> Iterator[None]:
    """Inside, SIGTERM waits, also in processes that are started inside.

    These have to be loader workers with :func:`shield_worker`.
    """
    if not SUPPORTED:
        yield
        return
    if multiprocessing.get_start_method() != 'fork':
        # Otherwise starting the resource tracker here would unblock the signal.
        resource_tracker.ensure_running()
    before = _block()
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _block() -> set:
    return signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})


def _hold() -> None:
    # A signal may arrive before the child is shielded.
    _held.mask = _block() if _shielding == os.getpid() else None


def _release() -> None:
    if _held.mask is not None:
        signal.pthread_sigmask(signal.SIG_SETMASK, _held.mask)


def _after_fork() -> None:
    if _held.mask is not None:
        _shield()


def _shield() -> None:
    """Let SIGTERM end this process only if its owner sends it.

    The process also ends if its parent ends, so that no worker is left behind.
    """
    global _shielded
    if not SUPPORTED or _shielded == os.getpid():
        return
    _shielded = os.getpid()
    # This holds in every thread that starts later, too.
    _block()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    parent = os.getppid()
    # With a fork server, its process is the parent of the worker.
    owner = getattr(multiprocessing.parent_process(), 'pid', parent)
    threading.Thread(target=_watch, args=(parent, owner), daemon=True).start()


def _watch(parent: int, owner: int) -> None:
    while os.getppid() == parent:
        info = signal.sigtimedwait({signal.SIGTERM}, INTERVAL)
        if info is not None and info.si_pid in (parent, owner):
            break
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    os.kill(os.getpid(), signal.SIGTERM)
