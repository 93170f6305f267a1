"""Attention inside windows, shifted windows and grids: of a map, or of a band of its rows."""

from functools import partial
from itertools import product

import torch

from .attention import Attention, attention_gradient, fused_attention, probabilities
from .bands import in_cache, in_graph, in_order, join, row_bands
from .recompute import Prelude, recomputed
from .window import Grids, Windows, apart, pad_to


class WindowAttention(Attention):
    """Attention of (B, H, W, C) inside windows of size x size tokens, laid `shift` further.

    `bias` is a module that gives (1, heads, N, N) to add to the logits, or None.
    Maps are padded with tokens that a zero would become, visible to the others, as the official
    detection code pads. A linear layer maps zero to its bias, so the padding comes after `qkv`.
    """

    hidden = -100.0  # added to the logits of tokens that must not see each other
    chunk = 2**19  # logits at a time in backward
    tiling = Windows
    few = 64  # tokens up to which matrix products beat the CPU's fused kernel, inside a band

    def __init__(self, dim, num_heads, size, shift=0, bias=None, qkv_bias=True):
        super().__init__(dim, num_heads, qkv_bias)
        if size < 1:
            raise ValueError(f'window_size is {size}; give a number of tokens, from 1 up')
        self.size, self.shift, self.bias = size, shift, bias
        self.tiles = self.tiling(size, num_heads, dim // num_heads)

    def forward(self, x, norm=None, bias=None, shift=None):
        """Of a whole map, or of a band with its bias and how far its windows are laid."""
        if shift is None:
            *_, bias, shift = self.whole(x)
        return self.proj(self.within(self.project(x, norm), bias, shift))

    def whole(self, x):
        """The map as a single band: its rows, the bias, how far the windows are laid each way."""
        shift = self.shift_on(x.shape[1:3])
        bias = None if self.bias is None else self.bias()
        return [(0, x.shape[1])], bias, (shift, shift)

    def bands(self, x):
        """Bands of whole windows.

        The rows between two windows' borders can be left out of a map and nothing changes for the
        rest. So the rows at both ends, which a shift joins, are a map as well.
        """
        whole = [(start, stop)], bias, (shift, _) = self.whole(x)
        if not in_cache(x):
            return [whole]
        end = shift + max(stop - shift, 0) // self.size * self.size
        rows = row_bands(x, shift, end, self.size)
        if len(rows) < 2:
            return [whole]
        ends = [each for each in ((start, shift), (end, stop)) if each[0] < each[1]]
        bands = [([each], bias, (0, shift)) for each in rows]
        return [*bands, (ends, bias, (shift, shift))] if ends else bands

    def project(self, x, norm):
        """(B, H, W, C) -> (B, H, W, 3C): queries, keys and values."""
        return self.qkv(x, norm)

    def shift_on(self, hw):
        """How far the windows of a map of this size are laid."""
        return self.shift

    def within(self, qkv, bias, shift):
        """(B, H, W, 3C) -> (B, H, W, C)."""
        hw = qkv.shape[1:3]

        def attend(qkv, bias):
            x = self.windowed(self.attend, [qkv], bias, shift, hw)
            return x[:, : hw[0], : hw[1]].contiguous()

        def gradient(grad, qkv, bias):
            total = [0.0]
            function = partial(self.attend_gradient, total)
            grad = self.windowed(function, [qkv, pad_to(grad, self.size)], bias, shift, hw)
            return grad, (None if bias is None else total[0])

        own = self.of_prelude()
        if in_graph():
            return self.at_once(self.prelude(qkv, *own), bias, shift, hw)
        if not in_cache(qkv):
            return attend(self.prelude(qkv, *own), bias)
        return recomputed(Prelude(self.prelude, own), attend, gradient, qkv, bias)

    def of_prelude(self):
        """The parameters that `prelude` uses."""
        return [] if self.qkv.bias is None else [self.qkv.bias]

    def prelude(self, qkv, bias=None):
        """Make height and width multiples of the window."""
        return pad_to(qkv, self.size, bias)

    def windowed(self, function, maps, bias, shift, hw):
        """What function(bias, *tensors) gives for all windows, side by side on a map.

        The tensors it takes are (windows, heads, N, C / heads), cut from (B, H, W, nC) maps; those
        in the list that it gives, too. Before padding, the maps were `hw` large.
        """
        B, H, W, _ = maps[0].shape
        runs = product(self.runs(H, shift[0], hw[0]), self.runs(W, shift[1], hw[1]))
        canvas = None
        for (rows, row_places), (columns, column_places) in runs:
            tensors = [t for each in maps for t in self.tiles.cut(each, rows, columns)]
            results = function(self.masked(bias, row_places, column_places, tensors[0]), *tensors)
            if canvas is None:
                heads = results[0].shape[1::2]
                canvas = results[0].new_empty(B, H, W, len(results), *heads)
            for i, result in enumerate(results):
                self.tiles.put(canvas[:, :, :, i], result, rows, columns)
        return canvas.flatten(3)

    def at_once(self, qkv, bias, shift, hw):
        """The same without a choice that depends on the size, for graphs of any size."""
        size, (B, *ends, C) = self.size, qkv.shape
        counts = [end // size for end in ends]
        axes = zip(counts, ends, shift, hw, strict=True)
        orders, places = zip(*(self.axis(*axis, qkv.device) for axis in axes), strict=True)
        in_place = self.tiling is Windows and not self.shift
        x = qkv if in_place else qkv.index_select(1, orders[0]).index_select(2, orders[1])
        x = x.unflatten(1, (counts[0], size)).unflatten(3, (counts[1], size))
        x = x.unflatten(-1, (3, self.num_heads, -1)).permute(5, 0, 1, 3, 6, 2, 4, 7).flatten(5, 6)
        q, k, v = x.unbind()  # (B, rows of windows, columns of windows, heads, N, C / heads)
        place = (4 * places[0][:, None, :, None] + places[1][:, None]).flatten(2)
        mask = (place[..., None] != place[..., None, :])[:, :, None]
        bias = self.hide(mask, None if bias is None else bias.to(q.dtype), q.dtype)
        x = probabilities(q, k, bias, self.scale) @ v
        x = x.unflatten(4, (size, size)).permute(0, 1, 4, 2, 5, 3, 6)
        x = in_order(x).reshape(B, *ends, C // 3)
        if in_place:
            return x.narrow(1, 0, hw[0]).narrow(2, 0, hw[1])
        back = (order.argsort().narrow(0, 0, side) for order, side in zip(orders, hw, strict=True))
        return x.index_select(1, next(back)).index_select(2, next(back))

    def axis(self, count, end, shift, length, device):
        """Tokens along a padded axis, window by window, and (count, size) numbers of their places.

        Numbers differ for tokens of a window that must not see each other.
        """
        order = self.tiles.order(torch.arange(end, device=device), count, shift)
        places = 2 * (order < shift) + (order >= self.seen(end, length))
        return order, places.unflatten(0, (count, self.size))

    def runs(self, end, shift, length):
        """The windows along a padded axis of a map that was `length` tokens long."""
        return self.tiles.runs(end, shift, self.seen(end, length))

    def seen(self, end, length):
        """How much of a padded axis other tokens see."""
        return end

    def attend(self, bias, q, k, v):
        """A list of what the tokens of each window take from each other."""
        if in_cache(q) and self.size**2 <= self.few and q.dtype == torch.float:
            return [probabilities(q, k, bias, self.scale) @ v]
        return [fused_attention(q, k, v, bias, self.scale)]

    def attend_gradient(self, total, bias, *tensors):
        """Gradients of q, k and v, given those and that of `attend`; of the bias, to total[0]."""
        outs = []
        chunk = max(1, self.chunk // (self.num_heads * self.size**4))
        for q, k, v, grad in zip(*(t.split(chunk) for t in tensors), strict=True):
            *grads, of_bias = attention_gradient(grad, q, k, v, bias, self.scale)
            outs.append(grads)
            total[0] = total[0] if bias is None else total[0] + of_bias
        return [join(parts, 0) for parts in zip(*outs, strict=True)]

    def masked(self, bias, rows, columns, x):
        """The bias, and `hidden` where tokens of a window do not belong together."""
        if rows is None and columns is None:
            return bias
        return self.hide(apart(rows, columns, self.size, x.device)[None, None], bias, x.dtype)

    def hide(self, mask, bias, dtype):
        """The bias, and `hidden` where the mask is true."""
        mask = torch.zeros_like(mask, dtype=dtype).masked_fill(mask, self.hidden)
        return mask if bias is None else bias + mask


class MaskedWindowAttention(WindowAttention):
    """Attention inside windows in which padding is invisible: no output depends on it."""

    hidden = -torch.inf  # padding sees padding, so that no softmax is left without a token

    def of_prelude(self):
        """None: nobody will see the padding, so it is zero."""
        return []

    def seen(self, end, length):
        """How much of a padded axis other tokens see."""
        return length


class GridAttention(MaskedWindowAttention):
    """Attention among size x size tokens that lie evenly spread over the map."""

    tiling = Grids

    def bands(self, x):
        """Bands of whole grids: of rows that lie a grid's step apart, some next to each other."""
        H, whole = x.shape[1], self.whole(x)
        if not in_cache(x):
            return [whole]
        step = -(-H // self.size)
        starts = row_bands(x, 0, self.size * step, self.size)
        starts = [range(start // self.size, stop // self.size) for start, stop in starts]
        if len(starts) < 2 or (self.size - 1) * step >= H or len(starts[0]) >= self.size:
            return [whole]
        return [(self.rows(first, step, H), *whole[1:]) for first in starts]

    def rows(self, first, step, end):
        """The ranges of rows of the grids that begin in the rows `first`."""
        ranges = [(a + first.start, min(a + first.stop, end)) for a in range(0, end, step)]
        return [each for each in ranges if each[0] < each[1]]
