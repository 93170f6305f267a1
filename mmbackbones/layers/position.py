"""Positions of tokens: relative position biases, and convolutional positions."""

import math

import torch
import torch.nn.functional as F
from torch import nn

from .context import in_exported_graph


def between_tokens(offsets, size):
    """(heads, 2 size - 1, 2 size - 1), a value per offset -> (1, heads, N, N), one per token pair.

    Entry (size - 1 + dy, size - 1 + dx) is for a query dy below and dx right of the key. For each
    query the keys' values are a window of the table, so this is a view of it, and one copy.
    """
    if in_exported_graph():  # few converters know `unfold`
        place = torch.arange(size, device=offsets.device)
        apart = place[:, None] - place + size - 1
        index = apart[:, None, :, None] * (2 * size - 1) + apart[None, :, None, :]
        return offsets.flatten(1).index_select(1, index.flatten()).reshape(1, -1, size**2, size**2)
    windows = offsets.flip(1, 2).unfold(1, size, 1).unfold(2, size, 1)
    return windows.flip(1, 2).reshape(1, len(offsets), size**2, size**2)


class RelativeBias(nn.Module):
    """One learned number per head and offset between two tokens of a window: (1, heads, N, N)."""

    mode = 'bicubic'  # how a table of another window is resized, as the official loader does

    def __init__(self, size, num_heads):
        super().__init__()
        self.size = self.pretrained_size = size
        # The official name, so that weight decay rules written for other Swins find it.
        table = torch.empty((2 * size - 1) ** 2, num_heads)
        self.relative_position_bias_table = nn.Parameter(nn.init.trunc_normal_(table, std=0.02))

    def forward(self):
        table = self.relative_position_bias_table
        return between_tokens(self.offsets(table, self.size), self.size)

    def offsets(self, table, size):
        """A table (rows, heads) of any window -> (heads, 2 size - 1, 2 size - 1)."""
        side, want = math.isqrt(len(table)), 2 * size - 1
        image = table.transpose(0, 1).unflatten(1, (side, side))
        if side == want:
            return image
        return F.interpolate(image[None].float(), (want, want), mode=self.mode)[0].to(table.dtype)

    def fit(self, table):
        """Resize the table of a checkpoint that was trained with another window."""
        size = math.isqrt(len(self.relative_position_bias_table)) // 2 + 1
        return self.offsets(table, size).flatten(1).transpose(0, 1)


class ConvPosition(nn.Module):
    """A depthwise 3 x 3 convolution, added to (B, H, W, C)."""

    def __init__(self, dim):
        super().__init__()
        self.proj = nn.Conv2d(dim, dim, 3, padding=1, groups=dim)

    def forward(self, x):
        return x + self.proj(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
