"""DaViT: attention inside windows and attention between channels, in turn.

Paper: https://arxiv.org/abs/2204.03645. Official code: dingmyu/davit, whose mmdet folder this file
equals at every input size: windows are padded with visible zeros after the norm, nothing is
shifted, and drop path rises from half to half of a dual block. There are no weights for large,
huge and giant.

The sizes `base_fl` and `huge_fl` are the image encoders of Florence-2
(https://arxiv.org/abs/2311.06242, microsoft/Florence-2-base and -large at Hugging Face), which this
file equals as well; what differs is in `FlorenceParts`.
"""

from itertools import pairwise
from typing import Any

from torch import nn

from ..backbone import Backbone, Stage, arch_settings, one_of
from ..layers import (
    Attention,
    Block,
    ConvPosition,
    LayerNorm,
    PatchEmbed,
    WindowAttention,
    at_least_float,
    drop_path_rates,
    full_precision,
    pad_to,
    recompute,
)
from ..registry import MODELS
from ..weights import davit as weights

# A depth is one dual block: two blocks here, of windows and of channels.
ARCHS = {
    'tiny': dict(dims=(96, 192, 384, 768), depths=(1, 1, 3, 1), heads=(3, 6, 12, 24)),
    'small': dict(dims=(96, 192, 384, 768), depths=(1, 1, 9, 1), heads=(3, 6, 12, 24)),
    'base': dict(dims=(128, 256, 512, 1024), depths=(1, 1, 9, 1), heads=(4, 8, 16, 32)),
    'large': dict(dims=(192, 384, 768, 1536), depths=(1, 1, 9, 1), heads=(6, 12, 24, 48)),
    'huge': dict(dims=(256, 512, 1024, 2048), depths=(1, 1, 9, 1), heads=(8, 16, 32, 64)),
    'giant': dict(dims=(384, 768, 1536, 3072), depths=(1, 1, 12, 3), heads=(12, 24, 48, 96)),
    'base_fl': dict(
        dims=(128, 256, 512, 1024), depths=(1, 1, 9, 1), heads=(4, 8, 16, 32), parts='florence'
    ),
    'huge_fl': dict(
        dims=(256, 512, 1024, 2048), depths=(1, 1, 9, 1), heads=(8, 16, 32, 64), parts='florence'
    ),
}


class ChannelAttention(Attention):
    """Attention between the channels of each head, over all tokens of the map."""

    def attend(self, qkv, mask=None):
        """(B, N, 3C) -> (B, N, C)."""
        q, k, v = self.heads(qkv)
        return between_channels(k, v, q, k.shape[-1] ** -0.5)


class TokenScaledAttention(ChannelAttention):
    """Florence-2's: queries meet keys, and their logits are scaled by the number of tokens."""

    def attend(self, qkv, mask=None):
        """(B, N, 3C) -> (B, N, C)."""
        q, k, v = self.heads(qkv)
        return between_channels(q, k, v, q.shape[2] ** -0.5)


def between_channels(q, k, v, scale):
    """softmax(scale * q^T k) v^T, for (B, heads, N, C) each; (B, N, heads * C)."""
    # The logits are sums over all N tokens, which half precision cannot hold.
    with full_precision(q):
        logits = at_least_float(q).transpose(-2, -1) @ at_least_float(k)
        affinity = (logits * scale).softmax(-1).type_as(v)
    return (v @ affinity.transpose(-2, -1)).transpose(1, 2).flatten(2)


class DaViTBlock(Block):
    """A block with a convolutional position before the mixer and before the MLP."""

    def __init__(self, dim, mixer, drop_path):
        super().__init__(dim, mixer, drop_path)
        self.cpe = nn.ModuleList([ConvPosition(dim), ConvPosition(dim)])

    def forward(self, x):
        x = self.cpe[0](x)
        x = self.cpe[1](x + self.drop_path1(self.attn(recompute(self.norm1, x))))
        return x + self.drop_path2(self.mlp(recompute(self.norm2, x)))


class Stem(PatchEmbed):
    """Patches of 4 x 4 pixels that see 7 x 7."""

    def __init__(self, in_channels, dim):
        super().__init__(in_channels, dim)
        self.proj = nn.Conv2d(in_channels, dim, 7, 4, padding=3)


class Downsample(nn.Module):
    """(B, H, W, C) -> (B, ceil(H / 2), ceil(W / 2), out_dim), by a norm and a convolution."""

    def __init__(self, dim, out_dim):
        super().__init__()
        self.norm = LayerNorm(dim)
        self.proj = nn.Conv2d(dim, out_dim, 2, 2)

    def forward(self, x):
        x = pad_to(recompute(self.norm, x), 2)
        return self.proj(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


class OverlappingDownsample(Downsample):
    """Florence-2's: each new token sees 3 x 3."""

    def __init__(self, dim, out_dim):
        super().__init__(dim, out_dim)
        self.proj = nn.Conv2d(dim, out_dim, 3, 2, padding=1)


class PaperParts:
    """What the networks of the paper are built of."""

    window_size = 7
    channel_attention = ChannelAttention
    downsample = Downsample


class FlorenceParts(PaperParts):
    """What the image encoders of Florence-2 are built of instead."""

    window_size = 12
    channel_attention = TokenScaledAttention
    downsample = OverlappingDownsample


PARTS = {'paper': PaperParts, 'florence': FlorenceParts}


def dual_blocks(dim, heads, window, rates, parts):
    """Blocks of windows and of channels in turn, one per drop path rate."""
    for i, rate in enumerate(rates):
        mixer = (
            parts.channel_attention(dim, heads) if i % 2 else WindowAttention(dim, heads, window)
        )
        yield DaViTBlock(dim, mixer, rate)


@MODELS.register_module()
class DaViT(Backbone):
    """DaViT as a pyramid at strides 4, 8, 16 and 32.

    Args:
        arch: 'tiny', 'small', 'base', 'large', 'huge', 'giant' (the last three without public
            weights), 'base_fl', 'huge_fl' (Florence-2's), or a dict of `dims`, `depths` (dual
            blocks) and `heads` (groups of channels), one of each for every stage, of which there
            may be more or fewer than four, and `parts` ('paper' if left out, or 'florence').
        window_size: Side of the windows in tokens; None: 7, or 12 with the parts of Florence-2.
        in_channels: Channels of the images.
        drop_path_rate: Drop path of the last block; it rises evenly from 0 at the first.
        common: `out_indices`, `frozen_stages`, `norm_eval`, `with_cp`, `init_cfg`: see `Backbone`.
    """

    archs, formats = ARCHS, weights.FORMATS

    def __init__(
        self,
        arch: str | dict = 'tiny',
        *,
        window_size: int | None = None,
        in_channels: int = 3,
        drop_path_rate: float = 0.1,
        **common: Any,
    ) -> None:
        dims, depths, heads, parts = arch_settings(self.archs, arch, parts='paper')
        parts = PARTS[one_of(parts, 'parts', PARTS)]
        window = parts.window_size if window_size is None else window_size
        downs = [None, *(parts.downsample(*pair) for pair in pairwise(dims))]
        rates = drop_path_rates(drop_path_rate, [2 * depth for depth in depths])
        stages = [
            Stage(dual_blocks(dim, head, window, rate, parts), down)
            for dim, head, rate, down in zip(dims, heads, rates, downs, strict=True)
        ]
        super().__init__(Stem(in_channels, dims[0]), stages, dims, **common)
