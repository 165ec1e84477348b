"""The memory of a step is there for the next one."""

import ctypes
from functools import cache

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # as malloc.h of glibc numbers them
MOST = 2**30


@cache
def keep_freed_memory() -> bool:
    """Let the process keep what is freed, up to a gigabyte, where its C library is glibc; whether it is.

    By default glibc gives large blocks back to the system, which clears them page by page when the next step asks
    again: a fifth to a quarter of the time of a training step of an LSTM on a CPU, up to half of a transformer's
    predictions. Every `SequenceModel` asks for it.

    >>> keep_freed_memory() in (True, False)
    True
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # another C library, or Windows
        return False
    return bool(mallopt(MMAP_THRESHOLD, MOST) and mallopt(TRIM_THRESHOLD, MOST))
