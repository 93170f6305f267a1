"""Less activation memory in training: cheap operations are computed again in backward.

    x = recompute(self.norm, x)        # the value and the gradients of self.norm(x)

Inside `recomputation()`, which `Backbone.forward` opens, autograd saves a `Computation` in place of
the result of such a call, and runs it when backward needs the result. `no_recomputation()` switches
this off.
"""

import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch
from torch import nn
from torch.autograd.graph import saved_tensors_hooks

from .context import autocast_dtype, has_autocast, in_graph, in_transform, only_runs
from .norm import LayerNorm

# Functions of the input and the parameters alone. A ReLU is none, as autograd saves its result.
REPEATABLE = {kind.forward for kind in (nn.LayerNorm, LayerNorm, nn.GELU, nn.SiLU)}
# Whether PyTorch tells who decides what autograd saves. It has no public way. Where this one is
# missing, as before PyTorch 2.8, nothing is recomputed, or hooks of others would be overruled.
CAN_ASK = hasattr(torch._C._autograd, '_top_saved_tensors_default_hooks')


class State(threading.local):
    """Thread-local: the results of `recompute` in the current context; whether it is enabled."""

    results: dict[int, tuple] | None = None
    enabled = True


STATE = State()


def recompute(function, *inputs):
    """function(*inputs), a tensor that backward computes again, inside `recomputation`.

    The function is a pure function of its inputs, or a module whose `forward` is `REPEATABLE`. Any
    other module, and one with hooks, is just called: its second result might differ. To recompute
    another operation with parameters, write it as a function that has them among its inputs.
    """
    y = function(*inputs)
    if in_graph() or STATE.results is None or not (torch.is_grad_enabled() and y.requires_grad):
        return y
    if active_pack_hook() is not pack or (
        isinstance(function, nn.Module) and not repeatable(function)
    ):
        return y
    STATE.results[storage_of(y)] = weakref.ref(y), y._version, Computation(function, inputs, y)
    return y


def repeatable(module):
    """Whether a second call of a module's `forward` gives the same and changes nothing else.

    A subclass is, as long as it inherits its `forward`. What another one does nobody can tell: it
    may be random or keep statistics, and wrong gradients are worse than memory.
    """
    return only_runs(module, REPEATABLE) and not getattr(module, 'inplace', False)


@contextmanager
def recomputation():
    """Inside, autograd saves no results of `recompute`, but how to compute them.

    It has no effect in graphs and transforms, and where somebody else already decides what autograd
    saves, such as `torch.utils.checkpoint` or `save_on_cpu`. Before PyTorch 2.8 it has none at all.
    """
    others = not CAN_ASK or active_pack_hook()
    if others or not STATE.enabled or in_graph() or in_transform():
        yield
        return
    STATE.results = {}
    try:
        with saved_tensors_hooks(pack, unpack):
            yield
    finally:
        STATE.results = None


def active_pack_hook():
    """The function that decides what autograd saves: `pack`, somebody else's, or None."""
    hooks = torch._C._autograd._top_saved_tensors_default_hooks(False)
    return hooks[0] if hooks else None


@contextmanager
def no_recomputation() -> Iterator[None]:
    """A context without recomputation: autograd saves every tensor that it needs, as usual."""
    before = STATE.results, STATE.enabled
    STATE.results, STATE.enabled = None, False
    try:
        yield
    finally:
        STATE.results, STATE.enabled = before


def computation_of(tensor):
    """The computation of a tensor that is the result of `recompute`, or a view of one; else None.

    It holds only as long as the result lives unchanged, so no address is mistaken for another.
    """
    found = STATE.results and STATE.results.get(storage_of(tensor))
    if not found:
        return None
    reference, version, computation = found
    result = reference()
    return computation if result is not None and result._version == version else None


def pack(tensor):
    """What is saved of a tensor: a computation and which part of its result, or the tensor."""
    computation = computation_of(tensor)
    if computation is None or tensor.dtype != computation.dtype:
        return SavedTensor(tensor)
    offset = tensor.storage_offset() - computation.offset
    return computation, tensor.shape, tensor.stride(), offset


def unpack(saved):
    """The tensor that `pack` was given."""
    if isinstance(saved, SavedTensor):
        return saved.tensor()
    computation, shape, stride, offset = saved
    y = computation()
    return y.as_strided(shape, stride, y.storage_offset() + offset)


class SavedTensor:
    """A tensor and its version: autograd leaves it to hooks like ours to notice a later change."""

    def __init__(self, tensor):
        self.detached = tensor.detach()  # with its graph, it would keep itself alive
        # As a storage's `_cdata`, it has no public name. If they move, no backbone trains.
        self.version = None if tensor.is_inference() else tensor._version

    def tensor(self):
        """The tensor, or an error if it has been changed."""
        if self.version is not None and self.detached._version != self.version:
            raise RuntimeError(
                f'a tensor of shape {tuple(self.detached.shape)} that backward needs has been '
                f'modified by an inplace operation since the forward pass; change a copy instead'
            )
        return self.detached


class Computation:
    """How to compute a tensor again: a function, its inputs or their computations, the autocast.

    All who ask while somebody holds the result get the same one.
    """

    def __init__(self, function, inputs, y):
        self.function, self.result = function, None
        self.inputs = [pack(x) if isinstance(x, torch.Tensor) else x for x in inputs]
        own = tensors_of(function) if isinstance(function, nn.Module) else {}
        self.own = {name: SavedTensor(tensor) for name, tensor in own.items()}
        self.dtype, self.offset = y.dtype, y.storage_offset()
        self.device, self.autocast = y.device.type, autocast_dtype(y)

    def __call__(self):
        y = self.result and self.result()
        if y is None:
            y = self.compute()
            self.result = weakref.ref(y)
        return y

    def compute(self):
        """The tensor."""
        inputs = [unpack(x) if isinstance(x, (SavedTensor, tuple)) else x for x in self.inputs]
        with torch.no_grad(), self.precision():
            if not isinstance(self.function, nn.Module):
                return self.function(*inputs)
            own = {name: saved.tensor() for name, saved in self.own.items()}
            with swapped_in(self.function, own):
                return self.function.forward(*inputs)

    def precision(self):
        """The autocast of the forward pass."""
        if not has_autocast(self.device):
            return nullcontext()
        return torch.autocast(self.device, self.autocast, enabled=self.autocast is not None)


def tensors_of(module):
    """{name: tensor} of a module's parameters, which FSDP makes plain attributes."""
    tensors = {**dict(module.named_parameters(recurse=False)), **vars(module)}
    return {name: t for name, t in tensors.items() if isinstance(t, torch.Tensor)}


@contextmanager
def swapped_in(module, tensors):
    """Inside, a module has the parameters of the forward pass, which may be others by now."""
    attributes = vars(module)  # they come before parameters of the same name
    before = {name: attributes[name] for name in tensors if name in attributes}
    attributes.update(tensors)
    try:
        yield
    finally:
        for name in tensors:
            del attributes[name]
        attributes.update(before)


def storage_of(tensor):
    """A number that tensors on the same storage share."""
    return tensor.untyped_storage()._cdata
