"""Less memory in training: what is cheap to compute is computed again in backward, not kept.

    x = cheap(self.norm, x)        # the value and the gradients of self.norm(x)

Inside `lean()`, which `Backbone.forward` opens, autograd keeps a `Recipe` where it would keep the
result of such a call, and follows it when backward needs the result. `plain()` switches this off.
"""

import threading
import weakref
from contextlib import ExitStack, contextmanager, nullcontext

import torch
from torch import nn
from torch.autograd.graph import saved_tensors_hooks
from torch.nn.modules.batchnorm import _BatchNorm

from .context import autocast_dtype, in_graph, in_transform


class State(threading.local):
    """Of this thread: the marked tensors of the `lean` block it is in, and whether one may open."""

    marks, allowed = None, True


STATE = State()


def cheap(function, *inputs):
    """function(*inputs), a tensor; inside `lean`, backward computes it again instead of keeping it.

    The function is a module or a pure function of its inputs; a module's hooks run once, with the
    forward pass.
    """
    y = function(*inputs)
    if STATE.marks is None or not (torch.is_grad_enabled() and y.requires_grad):
        return y
    if isinstance(function, nn.Module) and any(map(synchronises, function.modules())):
        return y
    STATE.marks[address(y)] = weakref.ref(y), y._version, Recipe(function, inputs, y)
    return y


@contextmanager
def lean():
    """Inside, autograd keeps recipes for the results of `cheap`; not in graphs and transforms."""
    if STATE.marks is not None or not STATE.allowed or in_graph() or in_transform():
        yield
        return
    STATE.marks = {}
    try:
        with saved_tensors_hooks(pack, unpack):
            yield
    finally:
        STATE.marks = None


@contextmanager
def plain():
    """A context without recomputation: autograd keeps every tensor that it needs, as usual."""
    before, STATE.allowed = STATE.allowed, False
    try:
        yield
    finally:
        STATE.allowed = before


def marked(tensor):
    """The recipe of a tensor that is the result of `cheap`, or a view of one; else None.

    A mark holds only as long as its tensor lives unchanged, so no address is mistaken for another.
    """
    reference, version, recipe = (STATE.marks or {}).get(address(tensor), (lambda: None, 0, None))
    result = reference()
    return recipe if result is not None and result._version == version else None


def pack(tensor):
    """What autograd keeps of a tensor: a recipe and which part of its result, or the tensor."""
    recipe = marked(tensor)
    if recipe is None or tensor.dtype != recipe.dtype:
        return tensor
    return recipe, tensor.shape, tensor.stride(), tensor.storage_offset() - recipe.offset


def unpack(kept):
    """What `pack` was given."""
    if not isinstance(kept, tuple):
        return kept
    recipe, shape, stride, offset = kept
    y = recipe()
    return y.as_strided(shape, stride, y.storage_offset() + offset)


class Recipe:
    """How to compute a tensor again: a function, its inputs, or their recipes, and the autocast.

    The result serves everybody who asks for as long as somebody holds it.
    """

    def __init__(self, function, inputs, y):
        self.function, self.result = function, None
        self.inputs = [pack(x) if isinstance(x, torch.Tensor) else x for x in inputs]
        self.dtype, self.offset = y.dtype, y.storage_offset()
        self.device, self.autocast = y.device.type, autocast_dtype(y)

    def __call__(self):
        y = self.result and self.result()
        if y is None:
            y = self.compute()
            self.result = weakref.ref(y)
        return y

    def compute(self):
        """The tensor, by the module's `forward`, so that no hook runs a second time."""
        inputs = [unpack(x) for x in self.inputs]
        with ExitStack() as stack:
            stack.enter_context(torch.no_grad())
            stack.enter_context(self.precision())
            if not isinstance(self.function, nn.Module):
                return self.function(*inputs)
            stack.enter_context(keep_statistics(self.function))
            return self.function.forward(*inputs)

    def precision(self):
        """The autocast of the forward pass."""
        if not torch.amp.is_autocast_available(self.device):
            return nullcontext()
        return torch.autocast(self.device, self.autocast, enabled=self.autocast is not None)


@contextmanager
def keep_statistics(module):
    """Batch norms inside do not update their running statistics: a map seen twice counts once."""
    norms = [m for m in module.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
    for norm in norms:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm in norms:
            norm.track_running_stats = True


def synchronises(module):
    """Whether a module waits for other processes, which backward had better not do once more."""
    return isinstance(module, nn.SyncBatchNorm)


def address(tensor):
    """A number that tensors on the same storage share."""
    return tensor.untyped_storage()._cdata
