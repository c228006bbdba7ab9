"""Tells whether the process that holds a run is still alive."""

import os
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

#: Seconds between two heartbeats, and without one until a process of another
#: machine counts as dead.
BEAT, PATIENCE = 10.0, 120.0


def place() -> str:
    """The machine since its last start, and the container: where a process id
    means something."""
    return '|'.join(
        [
            socket.gethostname(),
            _text('/proc/sys/kernel/random/boot_id'),
            _link('/proc/self/ns/pid'),
        ]
    )


def this_process(pid: int | None = None) -> dict[str, Any]:
    """A process of this machine, as :func:`is_alive` knows it.

    Args:
        pid (int, optional): Defaults to None: this process.
    """
    pid = os.getpid() if pid is None else pid
    return dict(place=place(), pid=pid, start=_start(pid))


def is_alive(holder: Mapping[str, Any], beat: float, now: float) -> bool:
    """Whether a process still runs.

    On this machine the operating system tells, at once. Elsewhere the
    heartbeat tells, after :data:`PATIENCE` seconds.

    Args:
        holder (dict): From :func:`this_process`, there.
        beat (float): Time of the last heartbeat, by the clock of the storage.
        now (float): The present time by the same clock.
    """
    if holder['place'] != place():
        return now - beat < PATIENCE
    start = _start(holder['pid'])
    return start is not None and start == holder['start']


def _start(pid: int) -> str | None:
    """When a process started, which tells it from a later one with its number;
    None if there is none."""
    text = _text(f'/proc/{pid}/stat')
    if text:
        # The name in brackets may have blanks.
        fields = text.rpartition(')')[2].split()
        # A zombie has ended; only its parent has not looked yet.
        return None if fields[0] in 'ZX' else fields[19]
    if os.path.isdir('/proc/self'):
        return None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass
    return 'unknown'


def _text(path: str) -> str:
    with suppress(OSError):
        return Path(path).read_text().strip()
    return ''


def _link(path: str) -> str:
    with suppress(OSError):
        return os.readlink(path)
    return ''


def clock(probe: Path) -> float:
    """The present time by the clock of the storage, which machines share.

    Args:
        probe (Path): A file of this process in the storage; written.
    """
    try:
        probe.touch()
        return probe.stat().st_mtime
    except OSError:
        return time.time()
