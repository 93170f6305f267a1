"""Files of `torch.save` -> what they hold, without running anything that a file contains.

PyTorch reads them with its safety on, and knows besides only what published files and trainings
hold. Files that would outgrow the machine are refused before they are read.
"""

import pickle
import pickletools
import zipfile
from contextlib import contextmanager
from pickletools import markobject, stackslice

import numpy as np
import torch
from mmengine.logging import HistoryBuffer

from .errors import CheckpointError, damaged, refused

OBJECTS = 10**7  # of one file; what is published has thousands
STREAMS = 5  # pickles in a file of the old format, one after the other


class Ignored(dict):
    """Stands for an object of a training run (its options, its logs) that is no weight."""

    def __init__(self, *args, **kwargs):
        super().__init__()

    def __setstate__(self, state):
        pass


# What published files hold beside tensors. Every name is read as `Ignored`: nothing of it runs.
HARMLESS = (
    'argparse.Namespace',
    'yacs.config.CfgNode',
    'mmcv.utils.config.ConfigDict',
    'mmengine.config.config.ConfigDict',
    'mmengine.logging.history_buffer.HistoryBuffer',
    'collections.deque',
    '_codecs.encode',
    'builtins.getattr',
    '__builtin__.getattr',
    'pathlib.PosixPath',
    'pathlib._local.PosixPath',
    'numpy.ndarray',
    'numpy.dtype',
    'numpy.core.multiarray.scalar',
    'numpy.core.multiarray._reconstruct',
    'numpy._core.multiarray.scalar',
    'numpy._core.multiarray._reconstruct',
    'numpy.dtypes.Float64DType',
    'numpy.dtypes.Float32DType',
    'numpy.dtypes.Int64DType',
)

array, number = (value.__reduce__()[0] for value in (np.zeros(0), np.float64(0)))
DTYPES = ('float16', 'float32', 'float64', 'int32', 'int64', 'uint8', 'bool')


def statistic(owner, name):
    """What stands for `getattr` in a pickle: it finds the statistics of a history, nothing else."""
    if owner is not HistoryBuffer or name.startswith('_'):
        raise pickle.UnpicklingError(f'getattr of {owner}, {name} is no statistic of a history')
    return getattr(owner, name)


def named(value):
    """A class and its name in pickles."""
    return value, f'{value.__module__}.{value.__qualname__}'


# What a training's checkpoint holds beside tensors; nothing of it can run code.
TRAINING_PARTS = [
    *map(named, (HistoryBuffer, np.ndarray, np.dtype)),
    *(named(type(np.dtype(name))) for name in DTYPES),
    (statistic, 'builtins.getattr'),
    *((array, f'numpy.{core}.multiarray._reconstruct') for core in ('core', '_core')),  # numpy 1, 2
    *((number, f'numpy.{core}.multiarray.scalar') for core in ('core', '_core')),
]


def trust_trainings() -> None:
    """Allow `torch.load` what a training's checkpoint holds beside tensors.

    Without it PyTorch refuses their histories of losses, so that no training can be resumed or
    tested; the loaders of mmengine's forks then read them with the safety off.
    """
    torch.serialization.add_safe_globals(TRAINING_PARTS)


def read_pickle(path, map_location='cpu', trusted=()):
    """What `torch.save` wrote, refusing whatever is not data.

    Args:
        path: Of the file.
        map_location: As in `torch.load`.
        trusted: Pairs of an object and its name in files, which are used as they are; other objects
            that are harmless become `Ignored`.

    Raises:
        CheckpointError: It is damaged, would run code, or outgrow itself.
    """
    try:
        check_size(path)
        with known_globals(trusted):
            return torch.load(path, map_location=map_location, weights_only=True)
    except CheckpointError:
        raise
    except pickle.UnpicklingError as error:
        raise refused(path, error) from error
    except Exception as error:  # whatever a parser runs into in foreign bytes is the finding
        raise damaged(path, error) from error


@contextmanager
def known_globals(trusted):
    """While it lasts, pickles get what is trusted, `Ignored` for what is harmless, nothing else."""
    known = {name: type(name, (Ignored,), {}) for name in HARMLESS}
    known |= {name: value for value, name in trusted}
    others = torch.serialization.get_safe_globals()
    torch.serialization.clear_safe_globals()
    try:
        torch.serialization.add_safe_globals([(value, name) for name, value in known.items()])
        yield
    finally:
        torch.serialization.clear_safe_globals()
        torch.serialization.add_safe_globals(others)


def check_size(path):
    """Raise if a file would outgrow itself."""
    found = bomb(path)
    if found:
        raise CheckpointError(
            f'{path} ({path.stat().st_size:,} bytes) {found}; it was not read, take another file'
        )


def bomb(path):
    """What a file of `torch.save` would grow to if it were read, where that is beyond reason."""
    with path.open('rb') as file:
        if file.read(4) == b'PK\3\4':  # how `torch.load` knows a zip file
            return bomb_in_archive(zipfile.ZipFile(file), path.stat().st_size)
        file.seek(0)
        return endless([file] * STREAMS)


def bomb_in_archive(archive, size):
    """The same of a zip file of so many bytes."""
    unpacked = sum(entry.file_size for entry in archive.infolist())
    if unpacked > size:
        return f'would unpack to {unpacked:,} bytes, but torch.save packs nothing'
    return endless(archive.open(n) for n in archive.namelist() if n.lower().endswith('.pkl'))


def endless(files):
    """The same of pickles that the files are at."""
    count = max(map(unshared, files), default=0)
    return f'would make {count:.0e} objects' if count > OBJECTS else None


def unshared(file):
    """How many objects the next pickle makes, each counted again wherever it is used.

    So many have to be visited to hash or print it, without running it.
    """
    stack, memo, size = [], {}, 0
    for op, arg, _ in pickletools.genops(file):
        if 'GET' in op.name:
            stack.append(memo[arg])
        elif 'PUT' in op.name or op.name == 'MEMOIZE':
            memo[len(memo) if arg is None else arg] = stack[-1]
        else:
            size = 1 + sum(taken(stack, op.stack_before))
            stack += [None if kind is markobject else size for kind in op.stack_after]
    return size


def taken(stack, kinds):
    """The sizes that an operation takes from the stack, where None is a mark."""
    for kind in reversed(kinds):
        while kind is stackslice and stack[-1] is not None:
            yield stack.pop()
        if kind is not stackslice:
            yield stack.pop() or 0
