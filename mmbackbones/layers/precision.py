"""Numbers that half precision cannot hold."""

from contextlib import nullcontext
from functools import partial

import torch


def full_precision(x):
    """A context in which autocast leaves float32 alone, on the device of x."""
    return torch.autocast(x.device.type, enabled=False) if known(x) else nullcontext()


def single(x):
    """Whether layers work on x in float32, that is, without autocast."""
    autocast = known(x) and torch.is_autocast_enabled(x.device.type)
    return x.dtype == torch.float and not autocast


def precision_of(x):
    """A function that gives the autocast of now, on the device of x, again."""
    if not known(x):
        return nullcontext
    kind = x.device.type
    dtype, enabled = torch.get_autocast_dtype(kind), torch.is_autocast_enabled(kind)
    return partial(torch.autocast, kind, dtype, enabled)


def known(x):
    """Whether there is autocast on the device of x."""
    return torch.amp.is_autocast_available(x.device.type)
