"""Lays out data sets as the configs read them, from publishers' downloads.

There is one module per publisher, those of labeled images in ``labeled``. Each
registers a small function per data set; ``own_folder`` divides class folders of the
user's own. The modules import NumPy, Pillow and the package's refusals only, so the
tool answers at once and works without torch.
"""

from . import bccd, camvid, cifar10, dense, dtd, labeled, stl10  # noqa: F401
from .own_folder import SHARES, prepare_own_folder
from .registry import DATA_SETS, OWN, prepare
from .task import Split, Task, table

__all__ = [
    'DATA_SETS',
    'OWN',
    'SHARES',
    'Split',
    'Task',
    'prepare',
    'prepare_own_folder',
    'table',
]
