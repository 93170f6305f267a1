"""From images to tokens."""

import torch.nn.functional as F
from torch import nn


class PatchEmbed(nn.Module):
    """Images (B, C, H, W) -> tokens (B, ceil(H / size), ceil(W / size), dim), normed."""

    def __init__(self, in_channels, dim, size=4):
        super().__init__()
        self.in_channels, self.size = in_channels, size
        self.proj = nn.Conv2d(in_channels, dim, size, size)
        self.norm = nn.LayerNorm(dim)

    def forward(self, x):
        bottom, right = -x.shape[2] % self.size, -x.shape[3] % self.size
        if bottom or right:
            x = F.pad(x, (0, right, 0, bottom))
        return self.norm(self.proj(x).permute(0, 2, 3, 1))
