"""Attention on PyTorch's fused kernels, forward and backward, on the CPU and on the GPU."""

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from .window import pad_to, shift_mask, shift_merge, shift_split, window_merge, window_split

# cuDNN plans anew for every shape, and multi-scale training brings a new number of windows with
# almost every image.
CUDA_KERNELS = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]
CUDA_BATCH = 65535  # the fused kernels put batch items on a grid axis of this length


class BiasGradient(torch.autograd.Function):
    """Passes the output of an attention on, and works out the gradient of its bias in backward.

    The fused CPU kernel refuses a bias that requires grad and PyTorch falls back to unfused
    arithmetic, so the bias goes into the kernel detached and learns here, a few windows at a time.
    """

    chunk = 2**20  # logits at a time: bounds the memory, and more at once is not faster

    @staticmethod
    def forward(ctx, out, q, k, v, bias, scale):
        ctx.save_for_backward(out, q, k, v, bias)
        ctx.scale = scale
        return out.view_as(out)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad):
        *_, bias = tensors = ctx.saved_tensors
        size = max(1, BiasGradient.chunk // bias[0].numel())
        chunks = zip(grad.split(size), *(t.split(size) for t in tensors[:4]), strict=True)
        total = torch.zeros_like(bias, dtype=torch.float)  # many small numbers add up
        for chunk in chunks:
            total += logit_gradient(*chunk, bias, ctx.scale).sum(0, keepdim=True)
        return grad, None, None, None, total.to(bias.dtype), None


def logit_gradient(grad, out, q, k, v, bias, scale):
    """(B, heads, N, N): gradient of the logits of softmax(scale q k^T + bias) v, in float32."""
    grad, out, q, k, v = (t.float() for t in (grad, out, q, k, v))
    probability = torch.softmax((q * scale) @ k.mT + bias, -1)
    return (grad @ v.mT).sub_((grad * out).sum(-1, keepdim=True)).mul_(probability)


def fused_attention(q, k, v, bias=None, scale=None):
    """Attention of (B, heads, N, C) with an additive (1, heads, N, N) bias that may learn."""
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    bias = bias if bias is None else bias.to(q.dtype)
    if q.is_cuda:
        return cuda_attention(q, k, v, bias, scale)
    if bias is None or not (torch.is_grad_enabled() and bias.requires_grad):
        return F.scaled_dot_product_attention(q, k, v, bias, scale=scale)
    out = F.scaled_dot_product_attention(q, k, v, bias.detach(), scale=scale)
    return BiasGradient.apply(out, q, k, v, bias, scale)


def cuda_attention(q, k, v, bias=None, scale=None):
    """The same on the fused CUDA kernels, which take a bias that learns as it is."""
    parts = zip(*(t.split(CUDA_BATCH) for t in (q, k, v)), strict=True)
    with sdpa_kernel(CUDA_KERNELS):
        outs = [F.scaled_dot_product_attention(*part, bias, scale=scale) for part in parts]
    return torch.cat(outs) if len(outs) > 1 else outs[0]


class Attention(nn.Module):
    """Multi-head self-attention between all tokens of (B, H, W, C).

    `bias` is a module that gives (1, heads, N, N) to add to the logits, or None.
    """

    def __init__(self, dim, num_heads, bias=None):
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)
        self.bias = bias

    def attend(self, qkv, bias=None):
        """(B, N, 3C) -> (B, N, C)."""
        q, k, v = qkv.unflatten(-1, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        return fused_attention(q, k, v, bias).transpose(1, 2).flatten(2)

    def forward(self, x):
        bias = None if self.bias is None else self.bias()
        return self.proj(self.attend(self.qkv(x.flatten(1, 2)), bias)).view_as(x)


class WindowAttention(Attention):
    """Attention of (B, H, W, C) inside windows of size x size tokens, laid `shift` further.

    Maps are padded with tokens that a zero would become, visible to the others, as the official
    detection code pads. A linear layer maps zero to its bias, so the padding comes after `qkv`.
    """

    def __init__(self, dim, num_heads, size, shift=0, bias=None):
        super().__init__(dim, num_heads, bias)
        self.size, self.shift = size, shift
        if shift:
            self.register_buffer('mask', shift_mask(size, shift), persistent=False)

    def forward(self, x):
        H, W = x.shape[1:3]
        qkv = pad_to(self.qkv(x), self.size, self.qkv.bias)
        bias = None if self.bias is None else self.bias()
        x = self.shifted(qkv, bias) if self.shift else self.windows(qkv, bias)
        return self.proj(x[:, :H, :W].contiguous())

    def windows(self, qkv, bias):
        """(B, H, W, 3C) -> (B, H, W, C), each window for itself."""
        if not qkv.numel():
            return qkv.chunk(3, -1)[0]  # a map of one window has no inner ones
        x = self.attend(window_split(qkv, self.size), bias)
        return window_merge(x, self.size, qkv.shape[1:3])

    def shifted(self, qkv, bias):
        """The same with shifted windows; those that hold opposite ends of the map get a mask."""
        at = self.size, self.shift
        rows = []
        for row, part in enumerate(shift_split(qkv, *at, axis=1)):
            parts = enumerate(shift_split(part, *at, axis=2))
            masked = [self.windows(part, self.masked(bias, row, column)) for column, part in parts]
            rows.append(shift_merge(*masked, *at, axis=2))
        return shift_merge(*rows, *at, axis=1)

    def masked(self, bias, row, column):
        """The bias of windows at an end of the rows and of the columns, or inside (False)."""
        if not (row or column):
            return bias
        mask = self.mask[row, column][None, None]
        return mask if bias is None else bias + mask
