"""Less memory in training: what is cheap to compute is computed again in backward, not kept.

    x = cheap(self.norm, x)        # the value and the gradients of self.norm(x)

Inside `lean()`, which `Backbone.forward` opens, autograd keeps a `Recipe` where it would keep the
result of such a call, and follows it when backward needs the result. `plain()` switches this off.
"""

import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch
from torch import nn
from torch.autograd.graph import saved_tensors_hooks

from .context import autocast_dtype, hooked, in_graph, in_transform
from .norm import LayerNorm

REPEATABLE = {nn.LayerNorm, LayerNorm, nn.GELU, nn.SiLU}  # a ReLU keeps its result itself


class State(threading.local):
    """Of this thread: the marked tensors of the `lean` block it is in, and whether one may open."""

    marks: dict[int, tuple] | None = None
    allowed = True


STATE = State()


def cheap(function, *inputs):
    """function(*inputs), a tensor; inside `lean`, backward computes it again instead of keeping it.

    The function is a pure function of its inputs or one of the `REPEATABLE` modules. Any other
    module, and one with hooks, is just called: its second result might differ.
    """
    y = function(*inputs)
    if in_graph() or STATE.marks is None or not (torch.is_grad_enabled() and y.requires_grad):
        return y
    if keeper() is not pack or (isinstance(function, nn.Module) and not repeatable(function)):
        return y
    STATE.marks[address(y)] = weakref.ref(y), y._version, Recipe(function, inputs, y)
    return y


def repeatable(module):
    """Whether a second call of a module's `forward` gives the same and changes nothing else."""
    known = type(module) in REPEATABLE and not getattr(module, 'inplace', False)
    return known and not hooked(module)


@contextmanager
def lean():
    """Inside, autograd keeps recipes for the results of `cheap`.

    It has no effect in graphs and transforms, and where somebody else already decides what autograd
    keeps, such as `torch.utils.checkpoint` or `save_on_cpu`.
    """
    if keeper() or not STATE.allowed or in_graph() or in_transform():
        yield
        return
    STATE.marks = {}
    try:
        with saved_tensors_hooks(pack, unpack):
            yield
    finally:
        STATE.marks = None


def keeper():
    """The function that decides what autograd keeps: `pack`, somebody else's, or None."""
    # PyTorch has no public way to ask. If this one moves, hooks of others are overruled.
    top = getattr(torch._C._autograd, '_top_saved_tensors_default_hooks', None)
    if top is None:  # before PyTorch 2.8
        return pack if STATE.marks is not None else None
    hooks = top(False)
    return hooks[0] if hooks else None


@contextmanager
def plain() -> Iterator[None]:
    """A context without recomputation: autograd keeps every tensor that it needs, as usual."""
    before = STATE.marks, STATE.allowed
    STATE.marks, STATE.allowed = None, False
    try:
        yield
    finally:
        STATE.marks, STATE.allowed = before


def marked(tensor):
    """The recipe of a tensor that is the result of `cheap`, or a view of one; else None.

    A mark holds only as long as its tensor lives unchanged, so no address is mistaken for another.
    """
    mark = STATE.marks and STATE.marks.get(address(tensor))
    if not mark:
        return None
    reference, version, recipe = mark
    result = reference()
    return recipe if result is not None and result._version == version else None


def pack(tensor):
    """What is kept of a tensor: a recipe and which part of its result, or the tensor itself."""
    recipe = marked(tensor)
    if recipe is None or tensor.dtype != recipe.dtype:
        return Kept(tensor)
    return recipe, tensor.shape, tensor.stride(), tensor.storage_offset() - recipe.offset


def unpack(kept):
    """The tensor that `pack` was given."""
    if isinstance(kept, Kept):
        return kept.tensor()
    recipe, shape, stride, offset = kept
    y = recipe()
    return y.as_strided(shape, stride, y.storage_offset() + offset)


class Kept:
    """A tensor as it is now; autograd leaves it to hooks like ours to notice a later change."""

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


class Recipe:
    """How to compute a tensor again: a function, its inputs or their recipes, and the autocast.

    The result serves everybody who asks for as long as somebody holds it.
    """

    def __init__(self, function, inputs, y):
        self.function, self.result = function, None
        self.inputs = [pack(x) if isinstance(x, torch.Tensor) else x for x in inputs]
        learned = learned_by(function) if isinstance(function, nn.Module) else {}
        self.learned = {name: Kept(tensor) for name, tensor in learned.items()}
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
        inputs = [unpack(x) if isinstance(x, (Kept, tuple)) else x for x in self.inputs]
        with torch.no_grad(), self.precision():
            if not isinstance(self.function, nn.Module):
                return self.function(*inputs)
            learned = {name: kept.tensor() for name, kept in self.learned.items()}
            with replaced(self.function, learned):
                return self.function.forward(*inputs)

    def precision(self):
        """The autocast of the forward pass."""
        if not torch.amp.is_autocast_available(self.device):
            return nullcontext()
        return torch.autocast(self.device, self.autocast, enabled=self.autocast is not None)


def learned_by(module):
    """{name: tensor} of what a module learns; FSDP makes plain attributes of its parameters."""
    tensors = {**dict(module.named_parameters(recurse=False)), **vars(module)}
    return {name: t for name, t in tensors.items() if isinstance(t, torch.Tensor)}


@contextmanager
def replaced(module, tensors):
    """The module has these tensors: by now, somebody may have given it others."""
    attributes = vars(module)  # they come before parameters of the same name
    before = {name: attributes[name] for name in tensors if name in attributes}
    attributes.update(tensors)
    try:
        yield
    finally:
        for name in tensors:
            del attributes[name]
        attributes.update(before)


def address(tensor):
    """A number that tensors on the same storage share."""
    return tensor.untyped_storage()._cdata
