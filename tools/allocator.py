"""Memory that a process keeps, for tools that work on a CPU."""

import ctypes

# Of glibc's mallopt: M_MMAP_THRESHOLD, M_TRIM_THRESHOLD and M_TOP_PAD, in bytes.
SETTINGS = {-3: 2**31 - 1, -1: 2**31 - 1, -2: 2**28}


def keep_pages():
    """Have glibc keep the memory of freed tensors for the next ones; nothing on other systems.

    By default it returns every tensor of 32 MB or more to the kernel, which clears each page again
    before the next one gets it.
    """
    mallopt = getattr(ctypes.CDLL(None), 'mallopt', None)
    for setting, value in SETTINGS.items() if mallopt else ():
        mallopt(setting, value)
