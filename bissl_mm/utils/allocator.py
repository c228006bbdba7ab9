"""Freed memory on a processor is kept for the next allocation."""

import ctypes
import os
import sys

#: Environment variable; 0 leaves the C library as it is.
VARIABLE = 'BISSL_KEEP_MEMORY'
# Parameters of mallopt(3).
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3


def keep_freed_memory() -> bool:
    """Let the C library keep freed memory for the next allocation.

    By default it returns blocks of some MiB to the system at once. The system
    hands them out again page by page, filled with zeros. This takes a quarter
    of the time of a product with the Hessian on two cores. After this call the
    process keeps the memory of its peak until it ends, and so do the data
    loading workers that it forks.

    The environment variable ``BISSL_KEEP_MEMORY=0`` switches it off.

    Returns:
        bool: False if nothing was changed: it is switched off, or the C
        library is not glibc.
    """
    if os.environ.get(VARIABLE) == '0' or not sys.platform.startswith('linux'):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    # -1: no memory is given back. Blocks of up to a GiB get no mapping of
    # their own; older versions of glibc take no more than 32 MiB.
    return bool(mallopt(_TRIM_THRESHOLD, -1)) and any(
        mallopt(_MMAP_THRESHOLD, size) for size in (2**30, 2**25)
    )
