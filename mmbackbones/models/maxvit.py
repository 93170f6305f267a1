"""MaxViT: a convolution block, attention inside windows, attention over a grid, in turn.

Paper: https://arxiv.org/abs/2204.01697. Official code: google-research/maxvit, in TensorFlow; this
file equals timm's port of it (`maxvit_*_tf_*`) at the sizes it takes, and with `tiny_tv` the one of
torchvision. Both take only multiples of a size. Here every size works: windows and grids are padded
at bottom and right, and masked. As in the authors' detection code, stages are handed out raw, and
the bias tables may be smaller than the window (`pretrained_window_size`).
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch.nn.functional as F
from torch import nn

from ..backbone import Backbone, Stage, arch_settings, one_of
from ..layers import (
    Block,
    DropPath,
    GridAttention,
    Halve,
    MaskedWindowAttention,
    Mlp,
    RelativeBias,
    drop_path_rates,
    recompute,
)
from ..registry import MODELS
from ..weights import maxvit as weights

ARCHS = {
    'tiny': dict(dims=(64, 128, 256, 512), depths=(2, 2, 5, 2), stem=64, parts='tensorflow'),
    'small': dict(dims=(96, 192, 384, 768), depths=(2, 2, 5, 2), stem=64, parts='tensorflow'),
    'base': dict(dims=(96, 192, 384, 768), depths=(2, 6, 14, 2), stem=64, parts='tensorflow'),
    'large': dict(dims=(128, 256, 512, 1024), depths=(2, 6, 14, 2), stem=128, parts='tensorflow'),
    'xlarge': dict(dims=(192, 384, 768, 1536), depths=(2, 6, 14, 2), stem=192, parts='tensorflow'),
    'tiny_tv': dict(dims=(64, 128, 256, 512), depths=(2, 2, 5, 2), stem=64, parts='torchvision'),
}
HEAD = 32  # channels


class SameConv2d(nn.Conv2d):
    """A 3 x 3 convolution of stride 2 as TensorFlow pads it: an even side at its end only."""

    def forward(self, x):
        top, left = (side % 2 for side in x.shape[2:])
        return super().forward(F.pad(x, (left, 1, top, 1)))


batch_norm = partial(nn.BatchNorm2d, eps=1e-3, momentum=0.01)


class TensorFlowParts:
    """What the authors' networks are built of."""

    act: Callable[[], nn.Module] = partial(nn.GELU, 'tanh')
    strided: Callable[..., nn.Module] = partial(SameConv2d, kernel_size=3, stride=2)

    @staticmethod
    def stem(in_channels, dim):
        """The first convolution of the network."""
        return SameConv2d(in_channels, dim, 3, 2)

    @staticmethod
    def halve():
        """The pool of a shortcut."""
        return Halve(nn.AvgPool2d(2, ceil_mode=True, count_include_pad=False))

    @staticmethod
    def expand(in_dim, dim):
        """The shortcut of a block that changes the number of channels."""
        return nn.Identity() if in_dim == dim else nn.Conv2d(in_dim, dim, 1)


class TorchvisionParts(TensorFlowParts):
    """What torchvision's network is built of instead."""

    act = nn.GELU
    halve = partial(nn.AvgPool2d, 3, 2, 1)
    strided = partial(nn.Conv2d, kernel_size=3, stride=2, padding=1)

    @staticmethod
    def stem(in_channels, dim):
        """Without a bias: a batch norm follows."""
        return nn.Conv2d(in_channels, dim, 3, 2, 1, bias=False)

    @staticmethod
    def expand(in_dim, dim):
        """A convolution even where the channels stay."""
        return nn.Conv2d(in_dim, dim, 1)


PARTS = {'tensorflow': TensorFlowParts, 'torchvision': TorchvisionParts}


class ScaledBias(RelativeBias):
    """A bias whose table belongs to a window of another size; gradients reach the table."""

    mode = 'bilinear'

    def __init__(self, size, num_heads, table_size):
        super().__init__(table_size, num_heads)
        self.size = size


class SqueezeExcite(nn.Module):
    """Squeeze and excitation: scales the channels of (B, H, W, C) by gates from their means."""

    def __init__(self, dim, hidden):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(dim, hidden), nn.Linear(hidden, dim)

    def forward(self, x):
        means = x.mean((1, 2), keepdim=True)
        return x * self.fc2(F.silu(self.fc1(means))).sigmoid()


class MBConv(nn.Module):
    """Pre-norm inverted bottleneck: (B, H, W, C) -> (B, H / stride, W / stride, dim).

    Its 1 x 1 convolutions are linear layers here, which need no other layout.
    """

    def __init__(self, in_dim, dim, stride, drop_path, parts):
        super().__init__()
        hidden = 4 * dim
        depthwise = parts.strided if stride == 2 else partial(nn.Conv2d, kernel_size=3, padding=1)
        self.pre_norm = batch_norm(in_dim)
        self.conv1_1x1 = nn.Linear(in_dim, hidden, bias=False)
        self.norm1, self.act1 = batch_norm(hidden), parts.act()
        self.conv2_kxk = depthwise(hidden, hidden, groups=hidden, bias=False)
        self.norm2, self.act2 = batch_norm(hidden), parts.act()
        self.se = SqueezeExcite(hidden, dim // 4)
        self.conv3_1x1 = nn.Linear(hidden, dim)
        self.drop_path = DropPath(drop_path)
        self.shortcut: nn.Module = nn.Identity()
        if stride == 2:
            self.shortcut = nn.Sequential(parts.halve(), parts.expand(in_dim, dim))

    def forward(self, x):
        image = x.permute(0, 3, 1, 2)
        y = self.conv1_1x1(self.pre_norm(image).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        y = self.conv2_kxk(recompute(self.act1, self.norm1(y)))
        y = recompute(self.act2, self.norm2(y)).permute(0, 2, 3, 1)
        y = self.conv3_1x1(self.se(y))
        return self.shortcut(image).permute(0, 2, 3, 1) + self.drop_path(y)


class Stem(nn.Module):
    """Images (B, C, H, W) -> (B, ceil(H / 2), ceil(W / 2), dim)."""

    def __init__(self, in_channels, dim, parts):
        super().__init__()
        self.in_channels = in_channels
        self.conv1 = parts.stem(in_channels, dim)
        self.norm1, self.act = batch_norm(dim), parts.act()
        self.conv2 = nn.Conv2d(dim, dim, 3, padding=1)

    def forward(self, x):
        x = recompute(self.act, self.norm1(self.conv1(x)))
        return self.conv2(x).permute(0, 2, 3, 1)


def maxvit_blocks(in_dim, dim, windows, rates, parts):
    """A convolution block, a window block and a grid block per drop path rate."""
    window, table = windows
    for i, rate in enumerate(rates):
        yield MBConv(dim if i else in_dim, dim, 1 if i else 2, rate, parts)
        for attention in (MaskedWindowAttention, GridAttention):
            bias = ScaledBias(window, dim // HEAD, table)
            mixer = attention(dim, dim // HEAD, window, bias=bias)
            yield Block(dim, mixer, rate, Mlp(dim, act=parts.act))


@MODELS.register_module()
class MaxViT(Backbone):
    """MaxViT as a pyramid at strides 4, 8, 16 and 32, without output norms.

    Args:
        arch: 'tiny', 'small', 'base', 'large', 'xlarge', 'tiny_tv' (torchvision's), or a dict of
            `dims` and `depths`, one of each for every stage, of which there may be more or fewer
            than four, `stem` and `parts` ('tensorflow' or 'torchvision').
        window_size: Side of the windows and of the grids in tokens. The authors' detectors have
            a 32nd of the image's side, 28 at 896.
        pretrained_window_size: The same as the weights were trained with: the size of the bias
            tables, which are resized in each forward pass; None: as `window_size`.
        in_channels: Channels of the images.
        drop_path_rate: Drop path of the last block; it rises evenly from 0 at the first.
        common: `out_indices`, `frozen_stages`, `norm_eval`, `with_cp`, `init_cfg`: see `Backbone`.
    """

    archs, formats = ARCHS, weights.FORMATS

    def __init__(
        self,
        arch: str | dict = 'tiny',
        *,
        window_size: int = 7,
        pretrained_window_size: int | None = None,
        in_channels: int = 3,
        drop_path_rate: float = 0.2,
        **common: Any,
    ) -> None:
        dims, depths, stem, parts = arch_settings(self.archs, arch)
        parts = PARTS[one_of(parts, 'parts', PARTS)]
        windows = window_size, pretrained_window_size or window_size
        numbers = zip((stem, *dims), dims, drop_path_rates(drop_path_rate, depths), strict=False)
        stages = [Stage(maxvit_blocks(a, b, windows, rates, parts)) for a, b, rates in numbers]
        super().__init__(Stem(in_channels, stem, parts), stages, dims, **common)
        self.apply(init_convolution)

    def output_norm(self, dim: int) -> nn.Module:
        """None: stages are handed out raw."""
        return nn.Identity()


def init_convolution(module):
    """Convolutions start from a normal distribution of deviation 0.02, as linear layers do."""
    if isinstance(module, nn.Conv2d):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
