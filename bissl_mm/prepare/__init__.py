"""Data sets laid out as the configs read them, from publishers' downloads.

One module per publisher; each registers a small function per data set. Numpy
and Pillow only, and nothing of the rest of the package but its refusals: the
tool answers at once, and it works where torch is not installed.
"""

from . import bccd, camvid, cifar10, dtd  # noqa: F401
from .registry import DATA_SETS, prepare
from .task import Split, Task, table

__all__ = ['DATA_SETS', 'Split', 'Task', 'prepare', 'table']
