"""Attention on PyTorch's fused kernels, forward and backward, on the CPU and on the GPU."""

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from .window import apart, grid_join, grid_runs, join, pad_to, window_join, window_runs

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

    scale = None  # of the logits; None is 1 / sqrt(channels of a head)

    def __init__(self, dim, num_heads, bias=None, qkv_bias=True):
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(dim, 3 * dim, bias=qkv_bias)
        self.proj = nn.Linear(dim, dim)
        self.bias = bias

    def attend(self, qkv, bias=None):
        """(B, N, 3C) -> (B, N, C)."""
        q, k, v = qkv.unflatten(-1, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        return fused_attention(q, k, v, bias, self.scale).transpose(1, 2).flatten(2)

    def forward(self, x):
        bias = None if self.bias is None else self.bias()
        return self.proj(self.attend(self.qkv(x).flatten(1, 2), bias)).view_as(x)


class WindowAttention(Attention):
    """Attention of (B, H, W, C) inside windows of size x size tokens, laid `shift` further.

    Maps are padded with tokens that a zero would become, visible to the others, as the official
    detection code pads. A linear layer maps zero to its bias, so the padding comes after `qkv`.
    """

    hidden = -100.0  # added to the logits of tokens that must not see each other

    def __init__(self, dim, num_heads, size, shift=0, bias=None, qkv_bias=True):
        super().__init__(dim, num_heads, bias, qkv_bias)
        self.size, self.shift = size, shift

    def forward(self, x):
        hw, bias = x.shape[1:3], None if self.bias is None else self.bias()
        bands = []
        for band, rows in self.runs(self.pad(self.project(x)), 1, hw):
            runs = self.runs(band, 3, hw)
            bands.append(join([self.inside(x, bias, rows, columns) for x, columns in runs], 3))
        x = self.joined(join(bands, 1), hw)
        return self.proj(x[:, : hw[0], : hw[1]].contiguous())

    def project(self, x):
        """(B, H, W, C) -> (B, H, W, 3C): queries, keys and values."""
        return self.qkv(x)

    def pad(self, qkv):
        """Make height and width multiples of the window."""
        return pad_to(qkv, self.size, self.qkv.bias)

    def runs(self, x, axis, hw):
        """The windows along an axis (1 or 3) of a padded map that was `hw` tokens large."""
        return window_runs(x, axis, self.size, self.shift_on(hw), x.shape[axis])

    def joined(self, x, hw):
        """(B, windows, size, windows, size, C) -> the padded map."""
        return window_join(x, self.shift_on(hw))

    def shift_on(self, hw):
        """How far the windows of a map of this size are laid."""
        return self.shift

    def inside(self, qkv, bias, rows, columns):
        """(B, windows, size, windows, size, 3C) -> the same with C, each window for itself."""
        grid = qkv.transpose(2, 3)
        tokens = grid.reshape(-1, self.size**2, qkv.shape[-1])
        x = self.attend(tokens, self.masked(bias, rows, columns, qkv.dtype))
        return x.reshape(*grid.shape[:-1], -1).transpose(2, 3)

    def masked(self, bias, rows, columns, dtype):
        """The bias, and `hidden` where tokens of a window do not belong together."""
        if rows is None and columns is None:
            return bias
        mask = apart(rows, columns, self.size)
        mask = torch.zeros_like(mask, dtype=dtype).masked_fill(mask, self.hidden)[None, None]
        return mask if bias is None else bias + mask


class MaskedWindowAttention(WindowAttention):
    """Attention inside windows in which padding is invisible: no output depends on it."""

    hidden = -torch.inf  # padding sees padding, so that no softmax is left without a token

    def pad(self, qkv):
        """Make height and width multiples of the window, with what nobody will see."""
        return pad_to(qkv, self.size)

    def runs(self, x, axis, hw):
        """The windows along an axis; what lies beyond `hw` is padding."""
        return window_runs(x, axis, self.size, self.shift_on(hw), hw[axis // 2])


class GridAttention(MaskedWindowAttention):
    """Attention among size x size tokens that lie evenly spread over the map."""

    def runs(self, x, axis, hw):
        """The grids along an axis; what lies beyond `hw` is padding."""
        return grid_runs(x, axis, self.size, hw[axis // 2])

    def joined(self, x, hw):
        """(B, grids, size, grids, size, C) -> the padded map."""
        return grid_join(x)
