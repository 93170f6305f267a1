"""Inference on a CPU: layers of single tokens go over a map some rows at a time.

What lies between two layers then stays in the cache, and there is never all of it. Nothing but
speed and memory may change, so whole maps go wherever somebody could notice.
"""

import torch
from torch import nn

from .context import hooked, in_graph, in_transform

TOKENWISE = {nn.Linear, nn.GELU, nn.ReLU, nn.SiLU, nn.BatchNorm2d, nn.Identity}
NUMBERS = 2**22  # between two layers at a time: 16 MB in float32


def by_rows(function, modules, x, width):
    """function(x), (B, H, W, C) -> (B, H, W, C'), for a function that treats each token by itself.

    Args:
        function: What to compute, from all rows or from some.
        modules: Those that it calls. Somebody may have put others in their places.
        x: The map.
        width: The most numbers that a token has between the function's layers.
    """
    rows = max(1, NUMBERS // (x.shape[0] * x.shape[2] * width))
    if rows >= x.shape[1] or not separable(modules, x):
        return function(x)
    parts = iter(x.split(rows, 1))
    first = function(next(parts))
    out, start = first.new_empty(*x.shape[:3], first.shape[-1]), rows
    out[:, :rows] = first
    for part in parts:
        out[:, start : start + rows] = function(part)
        start += rows
    return out


def separable(modules, x):
    """Whether calling these modules on rows, instead of the map, changes no result and no hook."""
    if torch.is_grad_enabled() or x.device.type != 'cpu' or in_graph() or in_transform():
        return False
    return all(map(tokenwise, modules))


def tokenwise(module):
    """Whether a module is known to treat each token by itself, and has no hooks."""
    learning = isinstance(module, nn.BatchNorm2d) and module.training
    return type(module) in TOKENWISE and not learning and not hooked(module)
