"""CONTAINER: each token gathers values by dynamic affinity (attention), static affinity, or both.

Paper: https://arxiv.org/abs/2106.01401. Official code: allenai/container, which has `light` alone;
this file equals it. `full` and `pam` are reconstructions from the paper, without weights: their
widths are those of `light`, and the MLP ratio of 4 fits the paper's 22.1 M parameters and 8.1 G.
The tables of `pam` are in the last two stages; in the first, one would have 157 M numbers a block.
Any input size: images are padded to a multiple of 4, and odd maps to even ones.
"""

from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from ..backbone import Backbone, Stage, arch_settings, one_of
from ..layers import (
    Attention,
    Block,
    ChannelsFirst,
    ConvPosition,
    Mlp,
    PatchEmbed,
    any_size,
    drop_path_rates,
)
from ..registry import MODELS
from ..weights import container as weights

ARCHS = {
    'light': dict(
        dims=(64, 128, 320, 512),
        depths=(3, 4, 8, 3),
        mlp_ratios=(8, 8, 4, 4),
        mixers=('static', 'static', 'static', 'mixed'),
    ),
    'full': dict(
        dims=(64, 128, 320, 512),
        depths=(3, 4, 8, 3),
        mlp_ratios=(4, 4, 4, 4),
        mixers=('mixed', 'mixed', 'mixed', 'mixed'),
    ),
    'pam': dict(
        dims=(64, 128, 320, 512),
        depths=(3, 4, 8, 3),
        mlp_ratios=(4, 4, 4, 4),
        mixers=('static', 'static', 'pam', 'pam'),
    ),
}
HEADS = 16


def local_affinity(dim):
    """Static affinity to the 5 x 5 neighbours, one per channel."""
    return ChannelsFirst(nn.Conv2d(dim, dim, 5, padding=2, groups=dim))


class GlobalAffinity(nn.Module):
    """Static affinity between all tokens, one per head, as in an MLP-Mixer.

    The table has a fixed number of tokens: other maps are averaged down to it and the mixtures
    interpolated back, which needs no larger table and is the identity at its own size.
    """

    def __init__(self, num_heads, size):
        super().__init__()
        self.size = size
        self.weight = nn.Parameter(torch.empty(num_heads, size**2, size**2))
        nn.init.trunc_normal_(self.weight, std=0.02)

    def forward(self, v):
        pool = averages if any_size(*v.shape[1:3]) else F.adaptive_avg_pool2d
        values = pool(v.permute(0, 3, 1, 2), self.size)
        values = values.unflatten(1, (len(self.weight), -1)).flatten(3)  # (B, heads, C, N)
        mixed = (
            (values @ self.weight.transpose(-2, -1))
            .flatten(1, 2)
            .unflatten(2, (self.size, self.size))
        )
        return F.interpolate(mixed, v.shape[1:3], mode='bilinear').permute(0, 2, 3, 1)


def averages(image, size):
    """Adaptive average pooling by matrix products, which exports for images of any size."""
    for side in (3, 2):
        weights = averaging(size, image.shape[side], image.device).type_as(image)
        image = F.linear(image.transpose(2, 3) if side == 2 else image, weights)
    return image.transpose(2, 3)


def averaging(size, side, device):
    """(size, side): the weights of the tokens along a side in `size` averages."""
    i, tokens = torch.arange(size, device=device)[:, None], torch.arange(side, device=device)
    start, end = i * side // size, ((i + 1) * side + size - 1) // size
    inside = torch.logical_and(tokens >= start, tokens < end)
    return inside / inside.sum(1, keepdim=True)


class StaticMixer(nn.Module):
    """Values gathered by a static affinity alone."""

    def __init__(self, dim):
        super().__init__()
        self.v, self.static = nn.Linear(dim, dim), local_affinity(dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x):
        return self.proj(self.static(self.v(x)))


class MixedAttention(Attention):
    """The same values gathered by attention and by a static affinity, in a learned proportion."""

    def __init__(self, dim, static):
        super().__init__(dim, HEADS)
        self.static = static
        self.sa_weight = nn.Parameter(torch.zeros(1))

    def forward(self, x):
        qkv = self.qkv(x)
        dynamic = self.attend(qkv.flatten(1, 2)).view(x.shape)
        static = self.static(qkv.chunk(3, -1)[2])
        share = self.sa_weight.sigmoid().type_as(x)
        return self.proj(share * dynamic + (1 - share) * static)


class ContainerBlock(Block):
    """A convolutional position, then a block with batch norms."""

    def __init__(self, dim, *args):
        super().__init__(dim, *args)
        self.cpe = ConvPosition(dim)

    def norm(self, dim):
        """A batch norm instead of a layer norm."""
        return ChannelsFirst(nn.BatchNorm2d(dim))

    def forward(self, x):
        return super().forward(self.cpe(x))


class Downsample(PatchEmbed):
    """(B, H, W, C) -> (B, ceil(H / 2), ceil(W / 2), out_dim), by a convolution and a norm."""

    def __init__(self, dim, out_dim):
        super().__init__(dim, out_dim, 2)

    def forward(self, x):
        return super().forward(x.permute(0, 3, 1, 2))


MIXERS = {
    'static': lambda dim, size: StaticMixer(dim),
    'mixed': lambda dim, size: MixedAttention(dim, local_affinity(dim)),
    'pam': lambda dim, size: MixedAttention(dim, GlobalAffinity(HEADS, size)),
}


def container_blocks(dim, mixer, size, rates, mlp_ratio):
    """One block per drop path rate, for maps that were `size` tokens wide in pretraining."""
    build = MIXERS[one_of(mixer, 'mixers', MIXERS)]
    return [ContainerBlock(dim, build(dim, size), rate, Mlp(dim, mlp_ratio)) for rate in rates]


@MODELS.register_module()
class Container(Backbone):
    """CONTAINER as a pyramid at strides 4, 8, 16 and 32.

    Args:
        arch: 'light', or without public weights 'full' and 'pam', or a dict of `dims`, `depths`,
            `mlp_ratios` and `mixers` ('static', 'mixed' or 'pam'), one of each for every stage, of
            which there may be more or fewer than four.
        pretrain_size: Side of the images that the tables of 'pam' are for.
        in_channels: Channels of the images.
        drop_path_rate: Drop path of the last block; it rises evenly from 0 at the first.
        common: `out_indices`, `frozen_stages`, `norm_eval`, `with_cp`, `init_cfg`: see `Backbone`.
    """

    archs, formats = ARCHS, weights.FORMATS

    def __init__(
        self,
        arch: str | dict = 'light',
        *,
        pretrain_size: int = 224,
        in_channels: int = 3,
        drop_path_rate: float = 0.1,
        **common: Any,
    ) -> None:
        dims, depths, mlp_ratios, mixers = arch_settings(self.archs, arch)
        downs = [None, *(Downsample(*pair) for pair in pairwise(dims))]
        rates = drop_path_rates(drop_path_rate, depths)
        sizes = [pretrain_size // (4 * 2**i) for i in range(len(dims))]
        numbers = zip(dims, mixers, sizes, rates, mlp_ratios, strict=True)
        stages = [
            Stage(container_blocks(*row), down) for row, down in zip(numbers, downs, strict=True)
        ]
        super().__init__(PatchEmbed(in_channels, dims[0]), stages, dims, **common)
