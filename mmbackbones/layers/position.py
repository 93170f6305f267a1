"""Where tokens stand: relative position bias."""

import torch
import torch.nn.functional as F
from torch import nn


def offset_index(size):
    """(N, N): which row of a (2 * size - 1) ** 2 table holds the offset between two tokens."""
    y, x = torch.arange(size * size) // size, torch.arange(size * size) % size
    dy, dx = y[:, None] - y + size - 1, x[:, None] - x + size - 1
    return dy * (2 * size - 1) + dx


class RelativeBias(nn.Module):
    """One learned number per head and offset between two tokens of a window: (1, heads, N, N)."""

    def __init__(self, size, num_heads):
        super().__init__()
        # The official name, so that weight decay rules written for other Swins find it.
        table = torch.empty((2 * size - 1) ** 2, num_heads)
        self.relative_position_bias_table = nn.Parameter(nn.init.trunc_normal_(table, std=0.02))
        self.register_buffer('index', offset_index(size), persistent=False)

    def forward(self):
        return self.relative_position_bias_table[self.index].permute(2, 0, 1)[None]

    def fit(self, table):
        """Resize a table of another window, bicubic as the official loader does."""
        rows, heads = table.shape
        side, want = round(rows**0.5), round(len(self.relative_position_bias_table) ** 0.5)
        image = table.float().T.reshape(1, heads, side, side)
        return (
            F.interpolate(image, (want, want), mode='bicubic').reshape(heads, -1).T.to(table.dtype)
        )
