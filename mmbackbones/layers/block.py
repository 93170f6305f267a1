"""The residual block that all architectures share, and what goes into it."""

import torch
from torch import nn

from .bands import add_branch, scaled, token_bands
from .recompute import Linear


class DropPath(nn.Module):
    """In training, drops a branch for a sample with probability `rate`, and scales the others."""

    def __init__(self, rate=0.0):
        super().__init__()
        self.rate = rate

    def forward(self, x):
        return scaled(x, self.scale(x))

    def scale(self, x):
        """What to multiply the branch of each sample of x by, or None."""
        if not (self.training and self.rate):
            return None
        keep = torch.rand(len(x), *[1] * (x.dim() - 1), device=x.device) >= self.rate
        return (keep / (1 - self.rate)).to(x.dtype)

    def extra_repr(self):
        return f'rate={self.rate:.3f}'


def drop_path_rates(rate, depths):
    """Rates that rise evenly from 0 at the first block to `rate` at the last; a list per stage."""
    if not 0 <= rate < 1:
        raise ValueError(f'drop_path_rate is {rate}; choose a number from 0 up to, but not, 1')
    rates = torch.linspace(0, rate, sum(depths), device='cpu').tolist()
    return [[rates.pop(0) for _ in range(depth)] for depth in depths]


class Mlp(nn.Module):
    """Two linear layers with a GELU between them, over the last axis of (B, H, W, C).

    `norm` is a module that each token goes through first.
    """

    def __init__(self, dim, ratio=4):
        super().__init__()
        self.fc1 = Linear(dim, int(dim * ratio))
        self.act = nn.GELU()
        self.fc2 = Linear(int(dim * ratio), dim)

    def forward(self, x, norm=None):
        return self.fc2(self.fc1(x, norm), self.act)


class Block(nn.Module):
    """x + mixer(norm(x)), then x + mlp(norm(x)), for a mixer of (B, H, W, C) to itself.

    Both take their norm as an argument, so that they need not keep what comes out of it.
    """

    norm = nn.LayerNorm  # of what kind the two are: dim -> module

    def __init__(self, dim, mixer, drop_path=0.0, mlp_ratio=4):
        super().__init__()
        self.norm1, self.attn = self.norm(dim), mixer
        self.norm2, self.mlp = self.norm(dim), Mlp(dim, mlp_ratio)
        self.drop_path = DropPath(drop_path)

    def forward(self, x):
        return self.second(self.first(x))

    def first(self, x):
        """X + mixer(norm(x))."""
        return add_branch(x, self.mix, self.attn.bands(x), self.drop_path.scale(x))

    def second(self, x):
        """X + mlp(norm(x)); without gradients, x may be overwritten."""
        return add_branch(x, self.feed, token_bands(x), self.drop_path.scale(x), spare=x)

    def mix(self, x, *where):
        """The first branch, of a band of a map."""
        return self.attn(x, self.norm1, *where)

    def feed(self, x):
        """The second branch, of any tokens."""
        return self.mlp(x, self.norm2)
