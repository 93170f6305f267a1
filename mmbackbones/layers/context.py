"""The context of a forward pass: autocast, graph capture, function transforms, hooks."""

from contextlib import nullcontext

import torch
from torch import nn
from torch.nn.modules import module as modules


def in_graph():
    """Whether the layers are being captured in a graph."""
    return torch.compiler.is_compiling() or torch.jit.is_tracing()


def in_exported_graph():
    """Whether a graph is being captured that leaves Python: by a tracer or by torch.export."""
    return in_graph() and not torch.compiler.is_dynamo_compiling()


def any_size(*sides):
    """Whether a graph is being captured that must hold for maps of other sides than these.

    torch.export makes free sides symbols and leaves fixed ones numbers. A trace and torch.compile
    do not tell them apart, so their graphs always hold for any size.
    """
    if torch.jit.is_tracing() or torch.compiler.is_dynamo_compiling():
        return True
    return any(isinstance(side, torch.SymInt) for side in sides)


def in_transform():
    """Whether the layers run inside a transform of `torch.func`, such as `grad` or `vmap`."""
    # PyTorch has no public way to ask. If this one moves, no backbone can run.
    return not in_graph() and torch._C._are_functorch_transforms_active()


@torch.compiler.assume_constant_result  # PyTorch 2.6 cannot compile what it calls
def has_autocast(kind):
    """Whether devices of this kind, such as cuda, have autocast."""
    return torch.amp.is_autocast_available(kind)


def full_precision(x):
    """A context in which autocast leaves float32 alone, on the device of x."""
    kind = x.device.type
    return torch.autocast(kind, enabled=False) if has_autocast(kind) else nullcontext()


def autocast_dtype(x):
    """The dtype that autocast gives linear layers on the device of x, or None without autocast."""
    kind = x.device.type
    if has_autocast(kind) and torch.is_autocast_enabled(kind):
        return torch.get_autocast_dtype(kind)
    return None


def at_least_float(x):
    """Convert x to float32; double stays double."""
    dtype = torch.promote_types(x.dtype, torch.float)
    if x.dtype == dtype:
        return x
    # With `to`, a graph of torch.export refuses to run outside the autocast it was captured under.
    return x.type_as(torch.empty((), dtype=dtype, device=x.device))


def hooked(module):
    """Whether a module has forward hooks, its own or global ones."""
    # PyTorch has no public way to ask. If these move, no backbone can be trained.
    everywhere = modules._global_forward_hooks or modules._global_forward_pre_hooks
    return bool(module._forward_hooks or module._forward_pre_hooks or everywhere)


def only_runs(module, forwards):
    """Whether calling a module runs one of these `forward` functions and nothing else.

    That holds for a subclass which inherits `forward`. It does not for a module with hooks, with a
    `forward` of its own, or with children, such as those that compute a weight in each call.
    """
    alone = next(module.children(), None) is None and not hooked(module)
    called = type(module).__call__ is nn.Module.__call__
    return alone and called and getattr(module.forward, '__func__', None) in forwards
