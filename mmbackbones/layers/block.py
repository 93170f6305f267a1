"""The residual block that all architectures share, and what goes into it."""

import torch
from torch import nn

from .norm import LayerNorm
from .recomputation import recompute
from .rows import by_rows


class DropPath(nn.Module):
    """In training, drops a branch for a sample with probability `rate`, and scales the others."""

    def __init__(self, rate=0.0):
        super().__init__()
        self.rate = rate

    def forward(self, x):
        if not (self.training and self.rate):
            return x
        keep = torch.rand(len(x), *[1] * (x.dim() - 1), device=x.device) >= self.rate
        return x * (keep / (1 - self.rate)).to(x.dtype)

    def extra_repr(self):
        return f'rate={self.rate:.3f}'


def drop_path_rates(rate, depths):
    """Rates that rise evenly from 0 at the first block to `rate` at the last; a list per stage."""
    if not 0 <= rate < 1:
        raise ValueError(f'drop_path_rate is {rate}; choose a number from 0 up to, but not, 1')
    rates = torch.linspace(0, rate, sum(depths), device='cpu').tolist()
    return [[rates.pop(0) for _ in range(depth)] for depth in depths]


class Mlp(nn.Module):
    """Two linear layers with an activation between them, over the last axis of (B, H, W, C)."""

    def __init__(self, dim, ratio=4, act=nn.GELU):
        super().__init__()
        self.hidden = int(dim * ratio)
        self.fc1 = nn.Linear(dim, self.hidden)
        self.act = act()
        self.fc2 = nn.Linear(self.hidden, dim)

    def forward(self, x):
        return by_rows(self.tokens, [self.fc1, self.act, self.fc2], x, self.hidden)

    def tokens(self, x):
        """The same, for all rows of the map or for some."""
        return self.fc2(recompute(self.act, self.fc1(x)))


class Block(nn.Module):
    """x + mixer(norm(x)), then x + mlp(norm(x)), for (B, H, W, C).

    Args:
        dim: C.
        mixer: A module from (B, H, W, C) to itself, which mixes tokens.
        drop_path: Probability to drop a branch in training.
        mlp: A module from (B, H, W, C) to itself; `Mlp(dim)` if None.
    """

    def __init__(self, dim, mixer, drop_path=0.0, mlp=None):
        super().__init__()
        self.norm1, self.attn, self.drop_path1 = self.norm(dim), mixer, DropPath(drop_path)
        self.norm2, self.mlp, self.drop_path2 = self.norm(dim), mlp or Mlp(dim), DropPath(drop_path)

    def norm(self, dim):
        """A new norm, of which a block has two."""
        return LayerNorm(dim)

    def forward(self, x):
        x = x + self.drop_path1(self.attn(recompute(self.norm1, x)))
        return x + self.drop_path2(self.mlp(recompute(self.norm2, x)))
