"""Attention inside windows, shifted windows and grids of (B, H, W, C) maps of any size.

    windows = window_partition(x, order)             # (B, H, W, C) -> (B * windows, N, C)
    x = window_reverse(windows, order, x.shape)      # and back

A `WindowOrder` says where each token goes. Windows, shifted windows and grids, with and without
padding, differ in their order and in nothing else.
"""

from collections import OrderedDict
from typing import NamedTuple

import torch

from .attention import Attention
from .context import any_size, in_graph, in_transform
from .recomputation import recompute


class WindowOrder(NamedTuple):
    """The tokens of an (H, W) map, window by window.

    tokens: (windows, N), the token at each place; at padding another one, of the same window if
        padding is masked.
    places: (H * W,), the place of each token.
    padding: (windows * N, 1), whether a place is padding; None if none is.
    padding_is_attended: whether other tokens attend to padding, so that it must be zero.
    mask_ids: (windows, N), numbers; tokens of a window attend to those with the same one. None if
        every token attends to all of its window.
    """

    tokens: torch.Tensor
    places: torch.Tensor
    padding: torch.Tensor | None
    padding_is_attended: bool
    mask_ids: torch.Tensor | None


def window_order(height, width, size, shift, grid, mask_padding, device):
    """The `WindowOrder` of windows of size x size tokens.

    They are neighbours, `shift` tokens further down and right, or with `grid` spread evenly over
    the map. A shift needs a mask: its last windows join opposite ends of the map.
    """
    y, window_y, inner_y = axis_order(height, size, shift, grid, device)
    x, window_x, inner_x = axis_order(width, size, shift, grid, device)
    windows = (window_y * x.shape[0])[:, None] + window_x
    places = windows * size**2 + (inner_y * size)[:, None] + inner_x

    inside = repeat_first if mask_padding else repeat_last
    tokens = (inside(y, height) * width)[:, None, :, None] + inside(x, width)[None, :, None, :]
    y, x = y[:, None, :, None], x[None, :, None, :]  # (windows down, windows right, size, size)
    outside_y, outside_x = y >= height, x >= width
    padding, mask_ids = torch.logical_or(outside_y, outside_x), None
    padded = any_size(height, width) or padding.numel() > height * width
    # Swin V2's shift is symbolic in exported graphs, so it is tested last.
    if (mask_padding and padded) or shift:
        mask_ids = 2 * (y < shift) + (x < shift)
    shape = tokens.shape[0] * tokens.shape[1], size**2
    return WindowOrder(
        tokens.reshape(shape).long(),  # coremltools makes floats of quotients of integers
        places.flatten().long(),
        padding.reshape(-1, 1) if padded else None,
        not mask_padding,
        None if mask_ids is None else mask_ids.reshape(shape),
    )


def repeat_last(tokens, length):
    """Tokens (windows, size) of an axis, at padding the last one of the map."""
    return tokens.clamp(max=length - 1)


def repeat_first(tokens, length):
    """Tokens (windows, size) of an axis, at padding the first one of the window.

    A shifted window that begins in padding wraps around the axis, so token 0 is in it.
    """
    if not any_size(length) and tokens.numel() == length:
        return tokens
    first = tokens[:, :1]
    return torch.where(tokens < length, tokens, first * (first < length))


def axis_order(length, size, shift, grid, device):
    """One axis: its tokens (windows, size), and for each token its window and its place in there.

    Tokens from `length` on are padding.
    """
    count = (length + size - 1) // size
    places, tokens = (torch.arange(n, device=device) for n in (count * size, length))
    if grid:
        windows = torch.arange(count, device=device).expand(size, count)
        inner = torch.arange(size, device=device)[:, None].expand(size, count)
        places = places.reshape(size, count).transpose(0, 1)
        return places, windows.flatten()[:length], inner.flatten()[:length]
    places, tokens, end = places + shift, tokens - shift, count * size
    # Once around the axis; exporters know no remainder of a division by a size.
    places = torch.where(places < end, places, places - end)
    tokens = torch.where(tokens < 0, tokens + end, tokens)
    return places.reshape(count, size), tokens // size, tokens % size


ORDERS: OrderedDict = OrderedDict()  # a cache; those used last stand at its end
LIMIT = 2**26  # bytes


def cached_window_order(x, *arguments):
    """The `window_order` for a map of the size of x."""
    return cached(window_order, x, *x.shape[1:3], *arguments)


def cached(function, x, *arguments):
    """function(*arguments, x.device), from a cache of the latest results."""
    arguments = (*arguments, x.device)
    if in_graph() or in_transform():
        return function(*arguments)
    # With separate entries for FakeTensors, which have no data.
    key = (function, *arguments, getattr(x, 'fake_mode', None))
    order = ORDERS.get(key)
    if order is None:
        with torch.inference_mode(False):
            ORDERS[key] = order = function(*arguments)
        while len(ORDERS) > 1 and sum(map(order_bytes, ORDERS.values())) > LIMIT:
            ORDERS.popitem(last=False)
    else:
        ORDERS.move_to_end(key)
    return order


def order_bytes(order):
    """How many bytes an order, or a tensor, takes."""
    parts = [order] if isinstance(order, torch.Tensor) else order
    return sum(part.nbytes for part in parts if isinstance(part, torch.Tensor))


class ToWindows(torch.autograd.Function):
    """Tokens of maps (B, H * W, C) -> (B, windows * N, C) in window order.

    Padding becomes zero where it is attended, else any token. As each token has one place, the
    gradient is a gather as well; PyTorch's own would be a scatter-add.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(x, tokens, places, padding, zero):
        windows = x.index_select(1, tokens)
        return windows.masked_fill_(padding, 0) if zero and padding is not None else windows

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs[1:4])

    @staticmethod
    def backward(ctx, grad):
        return FromWindows.apply(grad, *ctx.saved_tensors), None, None, None, None


class FromWindows(torch.autograd.Function):
    """Tokens in window order (B, windows * N, C) -> (B, H * W, C), the transpose of `ToWindows`."""

    generate_vmap_rule = True

    @staticmethod
    def forward(windows, tokens, places, padding):
        return windows.index_select(1, places)

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs[1:])

    @staticmethod
    def backward(ctx, grad):
        return ToWindows.apply(grad, *ctx.saved_tensors, True), None, None, None


def result_of(function, *inputs):
    """An autograd function's result. TorchScript files cannot hold one, but its forward."""
    return (function.forward if torch.jit.is_tracing() else function.apply)(*inputs)


def window_partition(x, order):
    """(B, H, W, C) -> (B * windows, N, C)."""
    where = order.tokens.flatten(), order.places, order.padding, order.padding_is_attended
    x = result_of(ToWindows, x.flatten(1, 2), *where)
    return x.unflatten(1, order.tokens.shape).flatten(0, 1)


def window_reverse(windows, order, shape):
    """(B * windows, N, C) -> (B, H, W, C), a map of the shape."""
    windows = windows.reshape(shape[0], -1, shape[-1])
    x = result_of(FromWindows, windows, order.tokens.flatten(), order.places, order.padding)
    return x.reshape(shape)


def attention_mask(bias, mask_ids, padding, batch, masked):
    """(B * windows, heads, N, N) to add to the logits: the bias, and `masked` where it is masked.

    Args:
        bias: (1, heads, N, N) or None.
        mask_ids: (windows, N), see `WindowOrder`.
        padding: (windows * N, 1), to which no token must attend, or None.
        batch: How many images there are.
        masked: Added for tokens of another mask id, and for padding.
    """
    apart = mask_ids[:, None, :, None] != mask_ids[:, None, None, :]
    dtype = torch.get_default_dtype() if bias is None else bias.dtype
    zero, masked = (torch.full((), n, dtype=dtype, device=apart.device) for n in (0.0, masked))
    mask = torch.where(apart, masked, zero)
    if padding is not None:
        padding = padding.reshape(mask_ids.shape)[:, None, None, :]
        mask = mask + torch.where(padding, masked, zero)
    mask = mask.expand(batch, -1, -1, -1, -1)
    return (mask if bias is None else mask + bias).flatten(0, 1)


class WindowAttention(Attention):
    """Attention of (B, H, W, C) inside windows of size x size tokens, laid `shift` further.

    `bias` is a module that gives (1, heads, N, N) to add to the logits, or None. Maps are padded
    to whole windows with zeros that the other tokens attend to, as in the official detection code.
    """

    grid = False  # windows of neighbours, or of tokens spread evenly over the map
    mask_padding = False
    # Added to the logits of masked tokens, as in the official code. Masked padding repeats a token
    # of its window: whatever the logits, its weight is exp(-100) of that token's, 0 in every
    # precision. -inf or -1e4 would leave quantised logits no steps for others.
    masked = -100.0

    def __init__(self, dim, num_heads, size, shift=0, bias=None, qkv_bias=True):
        super().__init__(dim, num_heads, qkv_bias)
        if size < 1:
            raise ValueError(f'window_size is {size}; give a number of tokens, from 1 up')
        self.size, self.shift, self.bias = size, shift, bias

    def forward(self, x):
        order = self.order(x)
        windows = window_partition(x, order)
        qkv = self.qkv(windows)
        bias = None if self.bias is None else self.bias().type_as(qkv)
        mask = bias
        if order.mask_ids is not None:
            padding = order.padding if self.mask_padding else None
            mask = recompute(attention_mask, bias, order.mask_ids, padding, x.shape[0], self.masked)
        return window_reverse(self.proj(self.attend(qkv, mask)), order, x.shape)

    def order(self, x):
        """The `WindowOrder` of a map."""
        return cached_window_order(x, self.size, self.shift, self.grid, self.mask_padding)


class MaskedWindowAttention(WindowAttention):
    """Attention inside windows in which padding is masked: no output depends on it."""

    mask_padding = True


class GridAttention(MaskedWindowAttention):
    """Attention among size x size tokens that lie evenly spread over the map."""

    grid = True
