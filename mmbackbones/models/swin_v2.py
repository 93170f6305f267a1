"""Swin Transformer V2: Swin with cosine attention, norms after the branches, and a learned bias.

Paper: https://arxiv.org/abs/2111.09883. Official code: microsoft/Swin-Transformer, a classifier for
one image size; this file equals it there. At other sizes nothing official exists: padding is
invisible, so no output depends on it. As in the official code, windows are not shifted where the
shorter side of the map is no larger than a window.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import nn

from ..backbone import Backbone, Stage, arch_settings, per_stage
from ..layers import (
    Block,
    LayerNorm,
    MaskedWindowAttention,
    PatchEmbed,
    PatchMerging,
    between_tokens,
    cached,
    cached_window_order,
    drop_path_rates,
    full_precision,
)
from ..registry import MODELS
from ..weights import swin_v2 as weights

# The heads of huge and giant are not in the paper, these are mmpretrain's, for which there are no
# public weights; what SimMIM says of its Swin V2-H stands in weights/published.py.
# `norm_every` says after how many blocks of a stage the main branch is normed, for stability.
ARCHS = {
    'tiny': dict(
        dims=(96, 192, 384, 768), depths=(2, 2, 6, 2), heads=(3, 6, 12, 24), norm_every=None
    ),
    'small': dict(
        dims=(96, 192, 384, 768), depths=(2, 2, 18, 2), heads=(3, 6, 12, 24), norm_every=None
    ),
    'base': dict(
        dims=(128, 256, 512, 1024), depths=(2, 2, 18, 2), heads=(4, 8, 16, 32), norm_every=None
    ),
    'large': dict(
        dims=(192, 384, 768, 1536), depths=(2, 2, 18, 2), heads=(6, 12, 24, 48), norm_every=None
    ),
    'huge': dict(
        dims=(352, 704, 1408, 2816), depths=(2, 2, 18, 2), heads=(8, 16, 32, 64), norm_every=6
    ),
    'giant': dict(
        dims=(512, 1024, 2048, 4096), depths=(2, 2, 42, 4), heads=(16, 32, 64, 128), norm_every=6
    ),
}


class LogBias(nn.Module):
    """The bias of two tokens is a small MLP of their offset, log-spaced: (1, heads, N, N).

    Offsets count in windows of the pretraining, so that another window extrapolates little.
    """

    def __init__(self, size, num_heads, pretrained_size):
        super().__init__()
        self.size, self.pretrained_size = size, pretrained_size
        self.cpb_mlp = nn.Sequential(
            nn.Linear(2, 512), nn.ReLU(), nn.Linear(512, num_heads, bias=False)
        )

    def forward(self):
        offsets = self.offsets
        with full_precision(offsets):
            offsets = self.cpb_mlp(offsets)
            return between_tokens(16 * offsets.sigmoid().permute(2, 0, 1), self.size)

    @property
    def offsets(self):
        """The input of the MLP: (2 size - 1, 2 size - 1, 2), in its precision.

        Not a buffer: no file has it, so a net built on the meta device could not load it.
        """
        like = getattr(self.cpb_mlp[0], 'weight', None)  # under FSDP a tensor, but no parameter
        if not isinstance(like, torch.Tensor):  # `weight` of a quantised layer is a method
            like = next(self.parameters(), torch.empty(0))
        offsets = cached(log_offsets, like, self.size, self.pretrained_size)
        return offsets.to(like.dtype) if like.is_floating_point() else offsets


def log_offsets(size, pretrained_size, device):
    """Log-spaced vertical and horizontal offsets of all pairs of tokens in a window."""
    offset = torch.arange(1 - size, size, dtype=torch.float, device=device)
    offset = offset * 8 / (pretrained_size - 1)
    offset = offset.sign() * torch.log2(offset.abs() + 1) / math.log2(8)
    return torch.stack(torch.meshgrid(offset, offset, indexing='ij'), -1)


class CosineAttention(MaskedWindowAttention):
    """Attention by the angle between query and key, with a learned scale per head."""

    scale = 1.0  # of the logits: `heads` scales the queries

    def __init__(self, dim, num_heads, size, shift, bias):
        super().__init__(dim, num_heads, size, shift, bias, qkv_bias=False)
        self.q_bias, self.v_bias = nn.Parameter(torch.zeros(dim)), nn.Parameter(torch.zeros(dim))
        self.logit_scale = nn.Parameter(torch.full((num_heads, 1, 1), math.log(10)))

    def heads(self, qkv):
        """(B, N, 3C) -> queries as long as the scale, keys of length one, and values."""
        q, k, v = super().heads(qkv)
        q_bias, v_bias = (
            b.view(self.num_heads, 1, -1).type_as(v) for b in (self.q_bias, self.v_bias)
        )
        scale = self.logit_scale.clamp(max=math.log(100)).exp()
        return unit(q + q_bias) * scale.type_as(q), unit(k), v + v_bias  # keys have no bias

    def order(self, x):
        """The order of the windows; not shifted where a window covers the map's shorter side."""
        # Arithmetic in place of `if`, as exported graphs cannot branch on the size of a map.
        covered_sides = self.size // x.shape[1] + self.size // x.shape[2]  # 0 if longer than size
        shift = self.shift * (1 // (1 + covered_sides))
        return cached_window_order(x, self.size, shift, self.grid, self.mask_padding)


def unit(x):
    """Vectors of length one; lengths are float32, as half precision cannot hold all."""
    dtype = torch.promote_types(x.dtype, torch.float)
    length = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=dtype)
    return (x / length.clamp(min=1e-12)).type_as(x)


class PostNormBlock(Block):
    """x + norm(mixer(x)), then x + norm(mlp(x)); the norms start at zero, the block as identity."""

    def __init__(self, *args):
        super().__init__(*args)
        for norm in (self.norm1, self.norm2):
            nn.init.zeros_(norm.weight)

    def forward(self, x):
        x = x + self.drop_path1(self.norm1(self.attn(x)))
        return x + self.drop_path2(self.norm2(self.mlp(x)))


class NormedBlock(PostNormBlock):
    """A block of the largest sizes that norms the main branch as well."""

    def __init__(self, dim, *args):
        super().__init__(dim, *args)
        self.norm3 = LayerNorm(dim)

    def forward(self, x):
        return self.norm3(super().forward(x))


class PostNormMerging(PatchMerging):
    """Patch merging that norms what it returns."""

    def __init__(self, dim, out_dim):
        super().__init__(dim, out_dim)
        self.norm = LayerNorm(out_dim)

    def forward(self, x):
        return self.norm(self.reduction(self.gather(x)))


def swin_v2_blocks(dim, heads, windows, rates, norm_every):
    """One block per drop path rate; every second one shifts its windows by half."""
    window, pretrained_window = windows
    for i, rate in enumerate(rates):
        bias = LogBias(window, heads, pretrained_window)
        mixer = CosineAttention(dim, heads, window, window // 2 * (i % 2), bias)
        normed = norm_every and (i + 1) % norm_every == 0
        yield (NormedBlock if normed else PostNormBlock)(dim, mixer, rate)


@MODELS.register_module()
class SwinTransformerV2(Backbone):
    """Swin Transformer V2 as a pyramid at strides 4, 8, 16 and 32.

    Args:
        arch: 'tiny', 'small', 'base', 'large', 'huge', 'giant' (the last two without public
            weights), or a dict of `dims`, `depths`, `heads` and `norm_every`, one of each but the
            last for every stage, of which there may be more or fewer than four.
        window_size: Side of the windows in tokens, one number or one per stage.
        pretrained_window_size: The same as the weights were trained with, (16, 16, 16, 8) for
            window 16 at 256, (12, 12, 12, 6) for window 12 at 192; None: as `window_size`.
        in_channels: Channels of the images.
        drop_path_rate: Drop path of the last block; it rises evenly from 0 at the first.
        common: `out_indices`, `frozen_stages`, `norm_eval`, `with_cp`, `init_cfg`: see `Backbone`.
    """

    archs, formats = ARCHS, weights.FORMATS

    def __init__(
        self,
        arch: str | dict = 'tiny',
        *,
        window_size: int | Sequence[int] = 8,
        pretrained_window_size: int | Sequence[int] | None = None,
        in_channels: int = 3,
        drop_path_rate: float = 0.1,
        **common: Any,
    ) -> None:
        dims, depths, heads, norm_every = arch_settings(self.archs, arch)
        # From 2 up: a window of one token has no offsets to learn from.
        windows = per_stage(window_size, len(dims), 'window_size', 2)
        trained = pretrained_window_size or windows
        trained = per_stage(trained, len(dims), 'pretrained_window_size', 2)
        rates = drop_path_rates(drop_path_rate, depths)
        merges = [None, *(PostNormMerging(*pair) for pair in pairwise(dims))]
        numbers = zip(dims, heads, zip(windows, trained, strict=True), rates, strict=True)
        stages = [
            Stage(swin_v2_blocks(*row, norm_every), merge)
            for row, merge in zip(numbers, merges, strict=True)
        ]
        super().__init__(PatchEmbed(in_channels, dims[0]), stages, dims, **common)
