"""From images to tokens, and from tokens to fewer of them."""

import torch.nn.functional as F
from torch import nn

from .context import any_size, in_exported_graph
from .norm import LayerNorm
from .recomputation import recompute


class PatchEmbed(nn.Module):
    """Images (B, C, H, W) -> tokens (B, ceil(H / size), ceil(W / size), dim), normed.

    `norm` is the kind of norm: dim -> module.
    """

    def __init__(self, in_channels, dim, size=4, norm=LayerNorm):
        super().__init__()
        self.in_channels, self.size = in_channels, size
        self.proj = nn.Conv2d(in_channels, dim, size, size)
        self.norm = norm(dim)

    def forward(self, x):
        return self.norm(self.proj(pad_image(x, self.size)).permute(0, 2, 3, 1))


class PatchMerging(nn.Module):
    """(B, H, W, C) -> (B, ceil(H / 2), ceil(W / 2), out_dim): 2 x 2 tokens become one."""

    def __init__(self, dim, out_dim):
        super().__init__()
        self.norm = LayerNorm(4 * dim)
        self.reduction = nn.Linear(4 * dim, out_dim, bias=False)

    def forward(self, x):
        return self.reduction(recompute(self.norm, self.gather(x)))

    def gather(self, x):
        """(B, H, W, C) -> (B, ceil(H / 2), ceil(W / 2), 4C)."""
        x = pad_to(x, 2)
        B, H, W, C = x.shape
        # The official order, down before right; in five axes, as many as phones take.
        x = x.reshape(B * (H // 2), 2, W // 2, 2, C).permute(0, 2, 3, 1, 4)
        return x.reshape(B, H // 2, W // 2, 4 * C)


class Halve(nn.Sequential):
    """A pool of 2 x 2: (B, C, H, W) -> (B, C, ceil(H / 2), ceil(W / 2)).

    The last row and column of an odd side are pooled alone. Exported graphs replicate-pad odd sides
    instead, which has the same result and which engines understand. Give average pools
    `count_include_pad=False`: with the default, which has the same result in eager PyTorch, 2.13
    compiles wrong gradients at odd sides.
    """

    def forward(self, x):
        bottom, right = (up_to(side, 2) for side in x.shape[2:])
        if in_exported_graph() and (any_size(*x.shape[2:]) or bottom or right):
            x = F.pad(x, (0, right, 0, bottom), mode='replicate')
        return super().forward(x)


class ChannelsFirst(nn.Sequential):
    """Runs modules for (B, C, H, W) on (B, H, W, C): two views, no copy."""

    def forward(self, x):
        return super().forward(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


def pad_image(x, multiple):
    """Pad (B, C, H, W) with zeros at bottom and right to a multiple."""
    bottom, right = (up_to(side, multiple) for side in x.shape[2:])
    needed = any_size(*x.shape[2:]) or bottom or right
    return F.pad(x, (0, right, 0, bottom)) if needed else x


def pad_to(x, multiple):
    """Pad (B, H, W, C) with zeros at bottom and right to a multiple."""
    return pad_image(x.permute(0, 3, 1, 2), multiple).permute(0, 2, 3, 1)


def up_to(side, multiple):
    """How much padding a side needs to become a multiple."""
    return (side + multiple - 1) // multiple * multiple - side
