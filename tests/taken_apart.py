"""Helpers for tests that take backbones apart."""

from contextlib import nullcontext

import pytest
import torch
from torch import nn

from mmbackbones import no_recomputation

SIZE = (2, 3, 37, 61)  # odd, and with less than a window in the last stages
CONVOLUTIONS = (nn.Conv2d, nn.ConvTranspose2d)
NORMS = (nn.LayerNorm, nn.BatchNorm2d)
ACTIVATIONS = (nn.GELU, nn.ReLU, nn.SiLU)
WATCHED = (nn.Linear, *CONVOLUTIONS, *NORMS, *ACTIVATIONS)

with_and_without_recomputation = pytest.mark.parametrize(
    'context', [nullcontext, no_recomputation], ids=['recomputation', 'none']
)
in_training_too = pytest.mark.parametrize('training', [False, True], ids=['eval', 'train'])


def total(outs):
    """A number that depends on all outputs."""
    return sum(out.square().mean() for out in outs)


def watched(net):
    """{name: module} of every norm, activation, linear layer and convolution."""
    return {name: m for name, m in net.named_modules() if isinstance(m, WATCHED)}


def grads(net, x, context=nullcontext, loss=total):
    """The gradients of a loss of the outputs in every parameter."""
    with context():
        value = loss(net(x))
    return torch.autograd.grad(value, list(net.parameters()))


def distance(found, wanted):
    """The largest difference of two lists of tensors, each in units of its own size."""
    pairs = zip(found, wanted, strict=True)
    return torch.stack([(a - b).abs().max() / (1e-3 + b.abs().max()) for a, b in pairs]).max()


def recomputation_changes_nothing(net, x, limit=1e-9):
    """Whether recomputation changes nothing, with whatever was done to the net."""
    found = []
    for context in (nullcontext, no_recomputation):
        torch.manual_seed(1)
        found.append(grads(net, x, context))
    return distance(*found) <= limit
