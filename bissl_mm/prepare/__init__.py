"""Lays out data sets as the configs read them, from publishers' downloads.

There is one module per publisher, those of labeled images in ``labeled``. Each
registers a small function per data set. The modules import NumPy, Pillow and the package's refusals only, so the
tool answers at once and works without torch.
"""

from . import bccd, camvid, cifar10, dense, dtd, labeled, stl10  # noqa: F401
from .registry import DATA_SETS, prepare
from .task import Split, Task, table

__all__ = ['DATA_SETS', 'Split', 'Task', 'prepare', 'table']
