"""Attention on PyTorch's fused kernels."""

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from .bands import join, whole_map
from .precision import full_precision
from .recompute import Linear

# cuDNN plans anew for every shape, and multi-scale training brings a new number of windows with
# almost every image.
CUDA_KERNELS = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]
CUDA_BATCH = 65535  # the fused kernels put batch items on a grid axis of this length


def fused_attention(q, k, v, bias=None, scale=None):
    """Attention of (B, heads, N, C) with an additive (1, heads, N, N) bias."""
    bias = bias if bias is None else bias.to(q.dtype)
    if not q.is_cuda:
        # The CPU's fused kernel refuses a bias that learns, even where no gradient is wanted.
        bias = bias if bias is None or torch.is_grad_enabled() else bias.detach()
        return F.scaled_dot_product_attention(q, k, v, bias, scale=scale)
    parts = zip(*(t.split(CUDA_BATCH) for t in (q, k, v)), strict=True)
    with sdpa_kernel(CUDA_KERNELS):
        outs = [F.scaled_dot_product_attention(*part, bias, scale=scale) for part in parts]
    return join(outs, 0)


def probabilities(q, k, bias, scale):
    """(B, heads, N, N): how much of each key every query takes."""
    logits = q @ (k * (q.shape[-1] ** -0.5 if scale is None else scale)).mT
    return (logits if bias is None else logits.add_(bias)).softmax(-1)


def attention_gradient(grad, q, k, v, bias=None, scale=None):
    """Gradients of q, k, v and the bias, in float32, given that of `fused_attention`."""
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    with full_precision(q):  # many small numbers add up
        grad, q, k, v = (t if t.dtype == torch.double else t.float() for t in (grad, q, k, v))
        p = probabilities(q, k, bias, scale)
        grad_logits = torch._softmax_backward_data(grad @ v.mT, p, -1, p.dtype)
        own = None if bias is None else grad_logits.sum(0, keepdim=True)
        return grad_logits @ k * scale, grad_logits.mT @ q * scale, p.mT @ grad, own


class Attention(nn.Module):
    """Multi-head self-attention between all tokens of (B, H, W, C).

    `norm` is a module that each token goes through first.
    """

    scale = None  # of the logits; None is 1 / sqrt(channels of a head)

    def __init__(self, dim, num_heads, qkv_bias=True):
        super().__init__()
        if num_heads < 1 or dim % num_heads:
            raise ValueError(f'{dim} channels do not split into {num_heads} heads; change arch')
        self.num_heads = num_heads
        self.qkv = Linear(dim, 3 * dim, bias=qkv_bias)
        self.proj = nn.Linear(dim, dim)

    def heads(self, tokens):
        """(B, N, nC) -> n times (B, heads, N, C / heads)."""
        count = tokens.shape[-1] // self.proj.in_features
        return tokens.unflatten(-1, (count, self.num_heads, -1)).permute(2, 0, 3, 1, 4)

    def attend(self, qkv, bias=None):
        """(B, N, 3C) -> (B, N, C)."""
        q, k, v = self.heads(qkv)
        return fused_attention(q, k, v, bias, self.scale).transpose(1, 2).flatten(2)

    def bands(self, x):
        """The bands of rows that can go without the others, see `add_branch`."""
        return whole_map(x)

    def forward(self, x, norm=None):
        return self.proj(self.attend(self.qkv(x, norm).flatten(1, 2)).view_as(x))
