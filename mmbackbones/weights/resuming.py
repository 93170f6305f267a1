"""Lets the checkpoints of mmengine's trainings be read with PyTorch's safety on.

They hold histories of losses, which PyTorch refuses with its safety on, so that no training could
be resumed or tested; the loaders of mmengine's forks then read them with the safety off.
"""

import os
import pickle

import numpy as np
import torch
from mmengine.logging import HistoryBuffer
from mmengine.runner import CheckpointLoader

from .errors import CheckpointError
from .reading import read_file

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
PARTS = [
    *map(named, (HistoryBuffer, np.ndarray, np.dtype)),
    *(named(type(np.dtype(name))) for name in DTYPES),
    (statistic, 'builtins.getattr'),
    *((array, f'numpy.{core}.multiarray._reconstruct') for core in ('core', '_core')),  # numpy 1, 2
    *((number, f'numpy.{core}.multiarray.scalar') for core in ('core', '_core')),
]
# Every address that mmengine knows; its search takes the longest that fits, and '' fits all.
ADDRESSES = (
    '',
    'http://',
    'https://',
    'modelzoo://',
    'torchvision://',
    'open-mmlab://',
    'openmmlab://',
    'mmcls://',
    'pavi://',
    r'(\S+\:)?s3://',
    r'(\S+\:)?petrel://',
)


def trust_trainings() -> None:
    """Allow `torch.load` what a training's checkpoint holds beside tensors."""
    torch.serialization.add_safe_globals(PARTS)


def load_from_checked_file(source, map_location=None):
    """What a file of a training or of weights holds, for `mmengine.runner.CheckpointLoader`.

    Args:
        source: Path or URL.
        map_location: As in `torch.load`.

    Raises:
        FileNotFoundError: There is no such file, or it cannot be downloaded.
        CheckpointError: It is damaged, has no names, would run code, or outgrow itself.
    """
    content, path = read_file(os.path.expanduser(source), map_location, trusted=PARTS)
    if not isinstance(content, dict):
        raise CheckpointError(
            f'{path} holds no tensors by name, but {type(content).__name__}; give a file of weights'
        )
    return content


def load_checked_files_only():
    """Let mmengine load checkpoints by `load_from_checked_file` alone, in this whole process."""
    CheckpointLoader.register_scheme(ADDRESSES, loader=load_from_checked_file, force=True)
