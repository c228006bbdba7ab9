"""A run with several processes, which torchrun starts."""

import ctypes
import gc
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch

from ...utils.errors import RuntimeRefusal
from ...utils.files import atomic_file
from ..queue.worker import Place
from .gpus import processes_on

#: What the processes are told, in the folder of the run.
JOB = 'job.json'


def number_of_processes(folder: Path, wanted: int, kind: str) -> int:
    """Of a run: what its checkpoint was made with, or what the GPUs here allow.

    Only a bilevel stage is bound to the number that it began with.

    Args:
        folder (Path): Of the run.
        wanted (int): What the experiment says.
        kind (str): Of the node.

    Raises:
        RuntimeError: If there are fewer GPUs than a begun stage needs.
    """
    here = processes_on(wanted)
    job = folder / JOB
    begins = not (job.exists() and (folder / 'last_checkpoint').exists())
    if begins or kind != 'stage':
        return here
    # Jobs of former versions do not have it.
    begun = json.loads(job.read_text()).get('processes', here)
    if torch.cuda.is_available() and begun > torch.cuda.device_count():
        raise RuntimeRefusal(
            f'{folder}: the stage was begun with {begun} processes, one per GPU, and '
            f'its worker has {torch.cuda.device_count()} here. Run the experiment '
            f'where a worker has {begun} GPUs; the run goes on there.'
        )
    return begun


def launch(module: str, job: dict, place: Place, name: str) -> None:
    """Start the processes and wait for them.

    If they end early, having saved since they began, they are started again: a process
    that the system killed costs no more than the steps since.

    Args:
        module (str): Is run with the path of the job file.
        job (dict): Plain values; ``processes`` of them are started.
        place (Place): Of the run.
        name (str): Of the run, for messages.

    Raises:
        RuntimeError: If they end early without having saved.
        SystemExit: If SIGTERM came. They have saved then.
    """
    file_of_job = place.folder / JOB
    with atomic_file(file_of_job) as file:
        file.write(json.dumps(job))
    command = [sys.executable, '-m', 'torch.distributed.run', '--standalone']
    command += [f'--nproc_per_node={job["processes"]}', '-m', module, str(file_of_job)]
    _free_memory()
    while True:
        saved = _saved(place.folder)
        status = _run(command, place)
        if not status:
            return
        output = place.folder / 'output.txt'
        if _saved(place.folder) == saved:
            raise RuntimeRefusal(
                f'{name}: {job["processes"]} processes ended with exit status '
                f'{status}. {output} says why.'
            )
        print(
            f'{name}: the processes ended with exit status {status} after a checkpoint '
            'of their own, and start again from it.',
            flush=True,
        )


def _run(command: Sequence[str], place: Place) -> int:
    with (
        # A signal to this process group reaches it once: torchrun survives two.
        subprocess.Popen(
            command, preexec_fn=_end_with_parent, start_new_session=True
        ) as child,
        _passing_on(child) as asked,
    ):
        place.hold(child.pid)
        status = child.wait()
    if asked:
        raise SystemExit(128 + signal.SIGTERM)
    return status


def _saved(folder: Path) -> tuple[str, int] | None:
    """The newest checkpoint and when it was written."""
    path = folder / 'last_checkpoint'
    if not path.exists():
        return None
    return path.read_text(), path.stat().st_mtime_ns


def _free_memory() -> None:
    """Give cached memory of the GPU back, to the processes that are started now."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


@contextmanager
def _passing_on(child: subprocess.Popen) -> Iterator[list[int]]:
    """Inside, SIGTERM goes to the child, which is then waited for: its processes save.

    Yields:
        list[int]: The signals that came.
    """
    asked: list[int] = []

    def stop(number: int, frame: object) -> None:
        if not asked:
            child.terminate()
        asked.append(number)

    # Signals arrive in the main thread alone.
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGTERM, before)


def _end_with_parent() -> None:
    """In a child: get SIGTERM when the parent dies, at which torchrun ends its
    processes. Linux only; elsewhere the run stays taken until they end."""
    if sys.platform == 'linux':
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)
