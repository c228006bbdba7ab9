"""What becomes of freed memory on a processor."""

import ctypes
import sys

# Parameters of mallopt(3).
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3


def keep_freed_memory() -> bool:
    """Let the C library keep freed memory for the next allocation.

    As it comes, it returns blocks of some MiB to the system at once, which
    hands them out again page by page, zeroed: a quarter of the time of a
    product with the Hessian on two cores. The process then keeps the memory
    of its peak until it ends, and so do data loading workers it forks.

    Returns:
        bool: False where it is not glibc, and nothing was changed.
    """
    if not sys.platform.startswith('linux'):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    # -1: nothing is given back. Blocks of up to a GiB are no mapping of
    # their own; older versions take no more than 32 MiB.
    return bool(mallopt(_TRIM_THRESHOLD, -1)) and any(
        mallopt(_MMAP_THRESHOLD, size) for size in (2**30, 2**25)
    )
