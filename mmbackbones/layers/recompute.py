"""Layers that keep less for backward: what is cheap is done twice."""

import torch
import torch.nn.functional as F
from torch import nn

from .bands import in_graph
from .precision import precision_of


class Recomputed(torch.autograd.Function):
    """operation(prelude(x, *own), *others), which keeps x and does the cheap prelude again.

    `parts` are the prelude, the operation, gradient(grad, prelude's result, *others) for a tuple of
    what is behind `grad`, and how many tensors are `own`.
    """

    @staticmethod
    def forward(ctx, parts, x, *tensors):
        prelude, operation, _, count = ctx.parts = parts
        ctx.own, ctx.precision = tensors[:count], precision_of(x)
        ctx.save_for_backward(x, *tensors[count:])
        return operation(prelude(x, *ctx.own), *tensors[count:])

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad):
        prelude, _, gradient, _ = ctx.parts
        x, *others = ctx.saved_tensors
        wants = ctx.needs_input_grad[1 : len(ctx.own) + 2]
        inputs = [x.detach().requires_grad_(wants[0]), *ended(ctx.own)]
        with ctx.precision():
            with torch.enable_grad():
                y = prelude(*inputs)
            grad, *of_others = gradient(grad, y.detach(), *others)
        wanted = [t for t, want in zip(inputs, wants, strict=True) if want]
        found = wanted and torch.autograd.grad(y, wanted, grad.to(y.dtype), allow_unused=True)
        found = iter(found)
        return None, *(next(found) if want else None for want in wants), *of_others


def ended(tensors):
    """The same, each an end of the graph; parameters stay themselves, as modules hold them."""
    return [t if t.is_leaf else t.detach().requires_grad_() for t in tensors]


class Prelude:
    """function(x, *own), for those who may call it again in backward."""

    def __init__(self, function, own=()):
        self.function, self.own = function, own

    @classmethod
    def of(cls, *steps):
        """Modules and functions without parameters, one after the other."""
        learned = [learned_by(step) for step in steps]

        def function(x, *own):
            own = iter(own)
            for step, names in zip(steps, learned, strict=True):
                x = called(step, dict(zip(names, own, strict=False)), x)
            return x

        return cls(function, [tensor for tensors in learned for tensor in tensors.values()])


def learned_by(step):
    """{name: tensor} of what a module learns; nothing for a function.

    While FSDP runs a module, its parameters are plain attributes.
    """
    modules = step.named_modules() if isinstance(step, nn.Module) else ()
    return {
        f'{path}.{name}'.removeprefix('.'): tensor
        for path, module in modules
        for name, tensor in [*module._parameters.items(), *vars(module).items()]
        if isinstance(tensor, torch.Tensor)
    }


def called(step, tensors, x):
    """What the step makes of x with these tensors, which need not be those that it holds."""
    held = learned_by(step)
    if all(held.get(name) is tensor for name, tensor in tensors.items()):
        return step(x)
    return torch.func.functional_call(step, tensors, (x,))


def recomputed(prelude, operation, gradient, x, *others):
    """operation(prelude of x, *others), in training by `Recomputed`.

    The prelude is a `Prelude` or a module.
    """
    prelude = prelude if isinstance(prelude, Prelude) else Prelude.of(prelude)
    if not torch.is_grad_enabled() or in_graph():
        return operation(prelude.function(x, *prelude.own), *others)
    parts = prelude.function, operation, gradient, len(prelude.own)
    return Recomputed.apply(parts, x, *prelude.own, *others)


def linear_gradient(grad, x, weight, bias):
    """Gradients of x, weight and bias."""
    rows, grads = x.flatten(0, -2), grad.flatten(0, -2)
    own = None if bias is None else grads.sum(0)
    return grad @ weight, grads.mT @ rows, own


class Linear(nn.Linear):
    """A linear layer behind a cheap module, a norm or an activation, whose output is not kept."""

    def forward(self, x, prelude=None):
        if prelude is None:
            return super().forward(x)
        return recomputed(prelude, F.linear, linear_gradient, x, self.weight, self.bias)


def conv_behind(conv, prelude, x):
    """A convolution of prelude(x), of which x is kept for backward."""
    numbers = conv.stride, conv.padding, conv.dilation
    bias = [] if conv.bias is None else [conv.bias]

    def operation(x, weight, bias=None):
        return F.conv2d(x, weight, bias, *numbers, conv.groups)

    def gradient(grad, x, weight, *bias):
        rest = False, (0, 0), conv.groups, (True, True, bool(bias))
        sizes = [len(weight)] if bias else None
        x, weight = x.to(grad.dtype), weight.to(grad.dtype)  # autocast leaves this function alone
        grads = torch.ops.aten.convolution_backward(grad, x, weight, sizes, *numbers, *rest)
        return grads[: 2 + len(bias)]

    return recomputed(prelude, operation, gradient, x, conv.weight, *bias)


def sum_behind(prelude, x):
    """(B, 1, 1, C): the sum of prelude(x) over a map."""
    return recomputed(
        prelude,
        lambda y: y.sum((1, 2), keepdim=True),
        lambda grad, y: (grad.expand_as(y),),
        x,
    )
