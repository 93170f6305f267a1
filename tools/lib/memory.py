"""The memory of tensors: who keeps it, and how much."""

import ctypes

import torch
from torch.multiprocessing.reductions import StorageWeakRef

from lib.dispatch import TorchDispatchMode, tree_leaves

# Of glibc's mallopt: M_MMAP_THRESHOLD, M_TRIM_THRESHOLD and M_TOP_PAD, in bytes.
SETTINGS = {-3: 2**31 - 1, -1: 2**31 - 1, -2: 2**28}


def keep_pages():
    """Have glibc keep the memory of freed tensors for the next ones; nothing on other systems.

    By default it returns every tensor of 32 MB or more to the kernel, which clears each page again
    before the next one gets it.
    """
    library = ctypes.CDLL(None)
    if hasattr(library, 'mallopt'):
        for setting, value in SETTINGS.items():
            library.mallopt(setting, value)


class Storages(TorchDispatchMode):
    """A context that notes the memory that operators allocate inside: (weak reference, bytes)."""

    def __enter__(self):
        self.sizes = []
        return super().__enter__()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        old = {StorageWeakRef(storage).cdata for storage in storages((args, kwargs))}
        new = [(StorageWeakRef(storage), storage.nbytes()) for storage in storages(out)]
        self.sizes += [(reference, size) for reference, size in new if reference.cdata not in old]
        return out


def storages(values):
    """Those of all tensors in nested values."""
    return [t.untyped_storage() for t in tree_leaves(values) if isinstance(t, torch.Tensor)]


def kept(run):
    """How many bytes of what run() makes are alive after it, its result among them."""
    with Storages() as made:
        result = run()
    alive = {ref.cdata: size for ref, size in made.sizes if not ref.expired()}
    del result
    return sum(alive.values())
