"""VOLO: outlook attention on a fine map, then plain attention on a coarse one.

Paper: https://arxiv.org/abs/2106.13112. Official code: sail-sg/volo, a classifier; this file equals
its maps at strides 8 and 16. No dense code was published, so the rest of the pyramid is our design:
* stride 4 by a transposed convolution and stride 32 by pooling, as ViTDet builds a pyramid;
* the position embedding is resized at run time, bicubic as the official loader does;
* any input size: images are padded to a multiple of 8, and an odd fine map to an even one.
"""

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..backbone import Backbone, Stage, arch_settings
from ..layers import (
    Attention,
    Block,
    ChannelsFirst,
    Halve,
    Mlp,
    any_size,
    drop_path_rates,
    full_precision,
    in_exported_graph,
    in_graph,
    pad_image,
    pad_to,
    recompute,
)
from ..registry import MODELS
from ..weights import volo as weights

# Dims, depths and heads are those of strides 8 and 16; `stem` is the width of the stem.
ARCHS = {
    'd1': dict(dims=(192, 384), depths=(4, 14), heads=(6, 12), mlp_ratio=3, stem=64),
    'd2': dict(dims=(256, 512), depths=(6, 18), heads=(8, 16), mlp_ratio=3, stem=64),
    'd3': dict(dims=(256, 512), depths=(8, 28), heads=(8, 16), mlp_ratio=3, stem=64),
    'd4': dict(dims=(384, 768), depths=(8, 28), heads=(12, 16), mlp_ratio=3, stem=64),
    'd5': dict(dims=(384, 768), depths=(12, 36), heads=(12, 16), mlp_ratio=4, stem=128),
}


class OutlookAttention(nn.Module):
    """Every second token says how the 3 x 3 tokens around it mix their values."""

    def __init__(self, dim, num_heads):
        super().__init__()
        self.num_heads, self.scale = num_heads, (dim // num_heads) ** -0.5
        self.pool = ChannelsFirst(Halve(nn.AvgPool2d(2, ceil_mode=True, count_include_pad=False)))
        self.v = nn.Linear(dim, dim, bias=False)
        self.attn = nn.Linear(dim, 81 * num_heads)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x):
        B, H, W = x.shape[:3]
        weights = self.weights(self.attn(self.pool(x)))
        values = recompute(self.neighbourhoods, self.v(x))
        mixed = self.mixtures(weights, values, B)
        return self.proj(contiguous(mixed.narrow(1, 0, H).narrow(2, 0, W)))

    def weights(self, logits):
        """(B, h, w, 81 heads) -> (B h, w, heads, 9, 9): of each neighbour in each mixture."""
        logits = logits.flatten(0, 1).unflatten(-1, (self.num_heads, 9, 9)) * self.scale
        return logits.softmax(-1).type_as(logits)

    def neighbourhoods(self, v):
        """(B, H, W, C) -> (B h, w, heads, 9, C / heads): the 3 x 3 values around even tokens."""
        v = pad_to(v, 2)
        height, width = v.shape[1:3]
        v = F.pad(v, (0, 0, 1, 1, 1, 1)).unflatten(3, (self.num_heads, -1))
        if in_exported_graph():  # few converters know `unfold`, or more than five axes
            rows = [v[:, i : i + height : 2] for i in range(3)]
            around = [row[:, :, i : i + width : 2] for row in rows for i in range(3)]
            return torch.cat(around, 4).flatten(0, 1).unflatten(3, (9, -1))
        rows = v.unfold(1, 3, 2).movedim(-1, 4)
        # Slices, as PyTorch 2.13 compiles a wrong gradient of two unfolds for a CPU.
        around = [rows[:, :, i : i + width : 2] for i in range(3)]
        return torch.stack(around, 5).flatten(4, 5).flatten(0, 1)

    def mixtures(self, weights, values, batch):
        """Nine mixtures of nine values (B, 2h, 2w, C), folded: overlapping ones are added."""
        mixed = (weights @ values).transpose(2, 3).flatten(3).unflatten(2, (3, 3))
        mixed = add_neighbours(mixed)
        return add_neighbours(mixed.unflatten(0, (batch, -1)))


def add_neighbours(x):
    """(B, n, m, 3, C) -> (B, 2n, m, C): adds what overlaps, three values around each even token."""
    before, even, odd = x.unbind(3)
    after = torch.cat([before, torch.zeros_like(before.narrow(1, 0, 1))], 1)
    odd = odd + after.narrow(1, 1, odd.shape[1])
    return torch.stack([even, odd], 2).flatten(1, 2)


class Stem(nn.Module):
    """Images (B, C, H, W) -> (B, ceil(H / 8), ceil(W / 8), dim)."""

    def __init__(self, in_channels, dim, hidden):
        super().__init__()
        self.in_channels = in_channels
        layers: list[nn.Module] = [nn.Conv2d(in_channels, hidden, 7, 2, 3, bias=False)]
        for conv in (nn.Conv2d(hidden, hidden, 3, padding=1, bias=False) for _ in range(2)):
            layers += [nn.BatchNorm2d(hidden), nn.ReLU(), conv]
        self.conv = nn.Sequential(*layers, nn.BatchNorm2d(hidden), nn.ReLU())
        self.proj = nn.Conv2d(hidden, dim, 4, 4)

    def forward(self, x):
        x = pad_image(x, 8)
        return self.proj(self.conv(x)).permute(0, 2, 3, 1)


class Downsample(nn.Module):
    """(B, H, W, C) -> (B, ceil(H / 2), ceil(W / 2), out_dim), with positions added."""

    def __init__(self, dim, out_dim, size):
        super().__init__()
        self.proj = nn.Conv2d(dim, out_dim, 2, 2)
        self.pos_embed = nn.Parameter(torch.zeros(1, size, size, out_dim))
        nn.init.trunc_normal_(self.pos_embed, std=0.02)

    def forward(self, x):
        x = self.proj(pad_to(x, 2).permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return x + resize(self.pos_embed, x.shape[1:3]).type_as(x)

    def fit(self, pos_embed):
        """Resize the positions of a checkpoint that was trained at another image size."""
        return resize(pos_embed, self.pos_embed.shape[1:3])


def contiguous(x):
    """x, contiguous in memory.

    In a graph always a copy: whether x is contiguous already depends on the size of the image.
    """
    return x.clone(memory_format=torch.contiguous_format) if in_graph() else x.contiguous()


def resize(pos_embed, hw):
    """(1, h, w, C) -> (1, H, W, C)."""
    if not any_size(*hw) and pos_embed.shape[1:3] == hw:
        return pos_embed
    image = pos_embed.permute(0, 3, 1, 2).float()
    if in_exported_graph():  # few converters know bicubic resizing
        rows, columns = (
            bicubic_weights(old, new, image.device)
            for old, new in zip(image.shape[2:], hw, strict=True)
        )
        with full_precision(image):
            image = rows @ image @ columns.transpose(0, 1)
    else:
        image = F.interpolate(image, hw, mode='bicubic')
    return image.permute(0, 2, 3, 1).to(pos_embed.dtype)


def bicubic_weights(old, new, device):
    """(new, old): the weights by which bicubic resizing makes `new` numbers from `old`."""
    place = (torch.arange(new, device=device) + 0.5) * old / new - 0.5
    first, tokens, weights = place.floor() - 1, torch.arange(old, device=device), 0.0
    for neighbour in range(4):
        token = first + neighbour
        far = (place - token).abs()
        # Keys' kernel with PyTorch's a of -0.75, up to a distance of 1 and from 1 to 2.
        near = (1.25 * far - 2.25) * far * far + 1
        beyond = ((-0.75 * far + 3.75) * far - 6) * far + 3
        weight = torch.where(far <= 1, near, beyond)
        same = token.clamp(0, old - 1)[:, None] == tokens
        weights = weights + weight[:, None] * same.to(weight.dtype)
    return weights


@MODELS.register_module()
class VOLO(Backbone):
    """VOLO as a pyramid at strides 4, 8, 16 and 32.

    Its stages are the outlookers (stride 8; up-sampled they are the output of stride 4 as well),
    none, the transformers (stride 16), and pooling. The up-sampling is never frozen.

    Args:
        arch: 'd1' to 'd5', or a dict of `dims`, `depths`, `heads`, `mlp_ratio` and `stem`.
        pretrain_size: Side of the images that the position embedding was trained with.
        in_channels: Channels of the images.
        drop_path_rate: Drop path of the last block; it rises evenly, the outlookers have none.
        common: `out_indices`, `frozen_stages`, `norm_eval`, `with_cp`, `init_cfg`: see `Backbone`.
    """

    archs, formats = ARCHS, weights.FORMATS
    optional_keys = r'norm\d+\.|up\.'

    def __init__(
        self,
        arch: str | dict = 'd1',
        *,
        pretrain_size: int = 224,
        in_channels: int = 3,
        drop_path_rate: float = 0.1,
        **common: Any,
    ) -> None:
        (fine, coarse), depths, heads, mlp_ratio, hidden = arch_settings(self.archs, arch)
        rates = drop_path_rates(drop_path_rate, depths)
        outlookers = [
            Block(fine, OutlookAttention(fine, heads[0]), mlp=Mlp(fine, mlp_ratio))
            for _ in rates[0]
        ]
        transformers = [
            Block(coarse, Attention(coarse, heads[1], qkv_bias=False), rate, Mlp(coarse, mlp_ratio))
            for rate in rates[1]
        ]
        down = Downsample(fine, coarse, pretrain_size // 16)
        pool = ChannelsFirst(Halve(nn.MaxPool2d(2, 2, ceil_mode=True)))
        stages = [Stage(outlookers), Stage([]), Stage(transformers, down), Stage([], pool)]
        dims = (fine // 2, fine, coarse, coarse)
        super().__init__(Stem(in_channels, fine, hidden), stages, dims, **common)
        if 0 in self.out_indices:
            self.up = ChannelsFirst(nn.ConvTranspose2d(fine, fine // 2, 2, 2))

    def output(self, i: int, x: Tensor) -> Tensor:
        """What is handed out of stage i; of the first one, up-sampled."""
        return super().output(i, self.up(x) if i == 0 else x)

    def levels(self, x: Tensor) -> Iterator[Tensor]:
        """The maps; the fine one, up-sampled, may be wider than the image."""
        H, W = ((side + 3) // 4 for side in x.shape[2:])
        for i, level in zip(self.out_indices, super().levels(x), strict=True):
            yield contiguous(level.narrow(2, 0, H).narrow(3, 0, W)) if i == 0 else level
