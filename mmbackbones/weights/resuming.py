"""Lets PyTorch read the checkpoints of mmengine's trainings with its safety on.

They hold histories of losses, which the original mmengine's plain `torch.load` refuses since
PyTorch 2.6, so that no training can be resumed or tested.
"""

import pickle

import numpy as np
import torch
from mmengine.logging import HistoryBuffer

array, number = (value.__reduce__()[0] for value in (np.zeros(0), np.float64(0)))
DTYPES = ('float16', 'float32', 'float64', 'int32', 'int64', 'uint8', 'bool')


def statistic(owner, name):
    """What stands for `getattr` in a pickle: it finds the statistics of a history, nothing else."""
    if owner is not HistoryBuffer or name.startswith('_'):
        raise pickle.UnpicklingError(f'getattr of {owner}, {name} is no statistic of a history')
    return getattr(owner, name)


def trust_trainings():
    """Allow what a training's checkpoint holds beside tensors; nothing of it can run code."""
    parts = [HistoryBuffer, np.ndarray, np.dtype, *(type(np.dtype(name)) for name in DTYPES)]
    functions = [(statistic, 'builtins.getattr')]
    for core in ('core', '_core'):  # of numpy 1, and of numpy 2
        functions += [
            (array, f'numpy.{core}.multiarray._reconstruct'),
            (number, f'numpy.{core}.multiarray.scalar'),
        ]
    torch.serialization.add_safe_globals([*parts, *functions])
