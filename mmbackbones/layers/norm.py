"""Batch norms, split into the statistics of a map and what they do to each of its tokens."""

import torch
from torch import nn

from .bands import in_cache
from .precision import single
from .recompute import Prelude


class Statistics(torch.autograd.Function):
    """Mean and variance of the channels of (B, H, W, C); a batch norm learns them on the way."""

    @staticmethod
    def forward(ctx, x, norm):
        if x[..., 0].numel() < 2:  # its variance would be NaN, and stay in the running one
            raise ValueError(
                f'a batch norm in training found one value per channel, shape {tuple(x.shape)}; '
                f'give larger images or batches, or norm_eval=True'
            )
        norm.num_batches_tracked += 1
        momentum = 1 / norm.num_batches_tracked if norm.momentum is None else norm.momentum
        running = norm.running_mean, norm.running_var
        mean, variance = torch.batch_norm_update_stats(x.permute(0, 3, 1, 2), *running, momentum)
        ctx.save_for_backward(x, mean)
        return mean, variance

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, of_mean, of_variance):
        x, mean = ctx.saved_tensors
        count = x.numel() // len(mean)
        slope = of_variance * (2 / count)
        return torch.addcmul(of_mean / count - slope * mean, x, slope), None


def settles(norms, x):
    """Whether `settled` knows these norms, and is of use for x: in float32 and on the CPU."""
    plain = all(type(norm) is nn.BatchNorm2d and norm.track_running_stats for norm in norms)
    return plain and in_cache(x) and single(x)


def learns(norms):
    """Whether a backward may follow, or norms take statistics."""
    return torch.is_grad_enabled() or any(norm.training for norm in norms)


def affine(norm, x=None):
    """(C,) scale and shift that a batch norm is; in training, given all tokens as x."""
    if norm.training:
        mean, variance = Statistics.apply(x, norm)
    else:
        mean, variance = norm.running_mean, norm.running_var
    scale = norm.weight * (variance + norm.eps).rsqrt()
    return scale, norm.bias - mean * scale


def settled(norm, x, then=()):
    """What a batch norm does to each token of x (B, H, W, C), and functions behind it."""
    then = Prelude.of(*then)

    def function(x, scale, shift, *_):
        return then.function(torch.addcmul(shift, x, scale))

    return Prelude(function, [*affine(norm, x), *then.own])
