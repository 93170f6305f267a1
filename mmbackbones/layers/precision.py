"""Numbers that half precision cannot hold."""

from contextlib import nullcontext

import torch


def full_precision(x):
    """A context in which autocast leaves float32 alone, on the device of x."""
    kind = x.device.type
    known = torch.amp.is_autocast_available(kind)
    return torch.autocast(kind, enabled=False) if known else nullcontext()


def single(x):
    """Whether layers work on x in float32, that is, without autocast."""
    kind = x.device.type
    known = torch.amp.is_autocast_available(kind)
    return x.dtype == torch.float and not (known and torch.is_autocast_enabled(kind))
