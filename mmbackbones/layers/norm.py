"""Norms."""

import torch.nn.functional as F
from torch import nn

from .context import autocast_dtype, full_precision


class LayerNorm(nn.LayerNorm):
    """`nn.LayerNorm` that under autocast returns the precision of the linear layers after it.

    PyTorch's returns float32 there on a GPU, which each following layer casts back: 14 to 20 bytes
    a number are moved instead of 4. Its kernels accumulate in float32 for every input.
    """

    def forward(self, x):
        dtype = autocast_dtype(x)
        if dtype is None:
            return super().forward(x)
        with full_precision(x):
            weight, bias = self.weight.to(x.dtype), self.bias.to(x.dtype)
            return F.layer_norm(x, self.normalized_shape, weight, bias, self.eps).to(dtype)
