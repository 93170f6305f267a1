"""Attention between all tokens of a map, on PyTorch's fused kernels."""

from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import nn

from .context import in_exported_graph, in_graph, in_transform

CUDA_BATCH = 65535  # the fused kernels put batch items on a grid axis of this length


@contextmanager
def without_cudnn(x):
    """A context in which attention on the device of x never uses cuDNN.

    cuDNN prepares a plan for each new shape, and in multi-scale training almost every image has a
    new number of windows.
    """
    cuda = torch.backends.cuda
    others = cuda.flash_sdp_enabled() or cuda.mem_efficient_sdp_enabled() or cuda.math_sdp_enabled()
    if not (x.is_cuda and cuda.cudnn_sdp_enabled() and others):  # the caller may want cuDNN
        yield
        return
    cuda.enable_cudnn_sdp(False)
    try:
        yield
    finally:
        cuda.enable_cudnn_sdp(True)


def attention(q, k, v, mask=None, scale=None):
    """softmax(scale * q k^T + mask) v, for (B, heads, N, C) queries, keys and values.

    The mask is broadcast to (B, heads, N, N); a scale of None is 1 / sqrt(C).
    """
    if mask is not None:
        mask = mask.type_as(q)
        if in_parts(q, mask):
            return probabilities(q, k, mask, scale) @ v
        mask = mask if in_exported_graph() or torch.is_grad_enabled() else mask.detach()
    if q.is_cuda and len(q) > CUDA_BATCH and not in_graph():
        parts = [t.split(CUDA_BATCH) for t in (q, k, v)]
        masks = [mask] * len(parts[0]) if mask is None or len(mask) == 1 else mask.split(CUDA_BATCH)
        chunks = zip(*parts, masks, strict=True)
        return torch.cat([attention(q, k, v, mask, scale) for q, k, v, mask in chunks])
    return F.scaled_dot_product_attention(q, k, v, mask, scale=scale)


def in_parts(q, mask):
    """Whether attention with this mask is matrix products and a softmax, not one kernel.

    The CPU kernel has no gradient for a mask, and `requires_grad` is unreliable under functorch.
    Exported graphs must not depend on grad mode: torch.export's have parts, which all engines take.
    """
    if in_exported_graph():
        return not torch.jit.is_tracing()
    learned = torch.is_grad_enabled() and mask.requires_grad
    return q.device.type == 'cpu' and (learned or in_transform())


def probabilities(q, k, mask=None, scale=None):
    """(B, heads, N, N): the attention weights."""
    logits = (q * (q.shape[-1] ** -0.5 if scale is None else scale)) @ k.transpose(-2, -1)
    return (logits if mask is None else logits + mask).softmax(-1)


class Attention(nn.Module):
    """Multi-head self-attention between all tokens of (B, H, W, C)."""

    scale: float | None = None  # of the logits; None is 1 / sqrt(channels of a head)

    def __init__(self, dim, num_heads, qkv_bias=True):
        super().__init__()
        if num_heads < 1 or dim % num_heads:
            raise ValueError(f'{dim} channels do not split into {num_heads} heads; change arch')
        self.num_heads = num_heads
        self.qkv = nn.Linear(dim, 3 * dim, bias=qkv_bias)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x):
        return self.proj(self.attend(self.qkv(x).flatten(1, 2)).view(x.shape))

    def attend(self, qkv, mask=None):
        """(B, N, 3C) -> (B, N, C); the mask is added to the logits."""
        q, k, v = self.heads(qkv)
        return attention(q, k, v, mask, self.scale).transpose(1, 2).flatten(2)

    def heads(self, qkv):
        """(B, N, 3C) -> queries, keys and values of (B, heads, N, C / heads)."""
        return [t.unflatten(-1, (self.num_heads, -1)).transpose(1, 2) for t in qkv.chunk(3, -1)]
