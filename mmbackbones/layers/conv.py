"""Convolutions of a map some rows at a time, and with less kept for backward."""

import torch
import torch.nn.functional as F
from torch import nn

from .bands import BAND, ranges, up_to
from .norm import affine
from .recompute import ended


class SameConv2d(nn.Conv2d):
    """A 3 x 3 convolution of stride 2 as TensorFlow pads it: an even side at its end only."""

    def forward(self, x):
        return super().forward(self.padded(x))

    def padded(self, x):
        """The map with zeros around it."""
        top, left = self.before(*x.shape[2:])
        return F.pad(x, (left, 1, top, 1))

    def before(self, H, W):
        """How many zeros are above a map and to the left of it."""
        return up_to(H, 2), up_to(W, 2)


def folded(layer, norm=None):
    """Weight and bias of a convolution or linear layer and of the batch norm behind it, in one."""
    if norm is None:
        return layer.weight, layer.bias
    scale, shift = affine(norm)
    weight = layer.weight * scale.view(-1, *[1] * (layer.weight.dim() - 1))
    return weight, shift if layer.bias is None else layer.bias * scale + shift


class Rows:
    """A map (B, C, H, W) of size H, W of which function(i, j) gives rows i to j.

    So convolutions behind one another need not hold a whole map in between; rows at the border of
    two bands are computed twice. `cost` numbers stand behind a row.
    """

    def __init__(self, function, size, cost):
        self.function, self.size, self.cost = function, size, cost

    @classmethod
    def of(cls, x):
        """Rows of an image."""
        x = x.contiguous(memory_format=torch.channels_last)
        return cls(lambda i, j: x[:, :, i:j], x.shape[2:], x[:, :, 0].numel())

    def then(self, function, *own):
        """What function(tokens, *own) makes of it, for single tokens of (B, rows, W, C)."""

        def rows(i, j):
            return function(self.function(i, j).permute(0, 2, 3, 1), *own).permute(0, 3, 1, 2)

        return Rows(rows, self.size, self.cost)

    def behind(self, conv, norm=None, act=None, weight=None):
        """What a convolution, a norm and an activation make of it; `weight` stands for conv's."""
        (H, W), stride, kernel = self.size, conv.stride[0], conv.kernel_size[0]
        top, left = conv.before(H, W) if isinstance(conv, SameConv2d) else conv.padding
        size = -(-H // stride), -(-W // stride)
        right = (size[1] - 1) * stride - left + kernel - W
        weight, bias = folded(conv, norm) if weight is None else (weight, conv.bias)
        weight = weight.contiguous(memory_format=torch.channels_last)

        def function(start, stop):
            first, last = start * stride - top, (stop - 1) * stride - top + kernel
            x = self.function(max(first, 0), min(last, H))
            above, below = max(-first, 0), max(last - H, 0)
            even = left == right and not (above or below)
            x = x if even else F.pad(x, (left, right, above, below))
            padding = 0, left if even else 0
            x = F.conv2d(x, weight, bias, stride, padding, groups=conv.groups)
            return x if act is None else act(x)

        return Rows(function, size, max(self.cost * stride, size[1] * conv.out_channels))

    def ranges(self):
        """(start, stop) of bands that the cache holds."""
        return ranges(0, self.size[0], max(1, 4 * BAND // self.cost))

    def bands(self):
        """(B, rows, W, C) bands, one after the other."""
        for start, stop in self.ranges():
            yield self.function(start, stop).permute(0, 2, 3, 1)

    def whole(self):
        """All of it as (B, H, W, C)."""
        return torch.cat(list(self.bands()), 1)


class InRows(torch.autograd.Function):
    """The map (B, H, W, C) that make(Rows of x, *own) gives, in bands both ways; only x is kept.

    For what is cheap: all of it is done again in backward.
    """

    @staticmethod
    def forward(ctx, make, x, *own):
        ctx.make, ctx.own = make, own
        ctx.save_for_backward(x)
        return make(Rows.of(x.permute(0, 3, 1, 2)), *own).whole()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        total, taken, own = torch.zeros_like(x), [], ended(ctx.own)
        grads = {t: torch.zeros_like(t) for t in own if t.requires_grad}

        def take(i, j):
            taken.append((i, j, x[:, i:j].detach().requires_grad_()))
            return taken[-1][2].permute(0, 3, 1, 2)

        rows = ctx.make(Rows(take, x.shape[1:3], x[:, 0].numel()), *own)
        for start, stop in rows.ranges():
            with torch.enable_grad():
                y = rows.function(start, stop).permute(0, 2, 3, 1)
            inputs = [*grads, *(part for *_, part in taken)]
            found = torch.autograd.grad(y, inputs, grad[:, start:stop], allow_unused=True)
            targets = [*grads.values(), *(total[:, i:j] for i, j, _ in taken)]
            for target, each in zip(targets, found, strict=True):
                target += 0 if each is None else each
            taken.clear()
        return None, total, *(grads.get(t) for t in own)
