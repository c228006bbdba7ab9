"""What worker processes share. Imports the standard library only."""

import os
import threading
from multiprocessing import parent_process

#: Environment variables that the libraries read when a process starts.
ONE_THREAD: dict[str, str] = dict.fromkeys(
    (
        'OMP_NUM_THREADS',
        'MKL_NUM_THREADS',
        'OPENBLAS_NUM_THREADS',
        'NUMEXPR_NUM_THREADS',
    ),
    '1',
)


def end_with_parent() -> None:
    """End this process when its parent has ended, for whatever reason."""
    threading.Thread(target=_wait_for_parent, daemon=True).start()


def _wait_for_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
    os._exit(1)
