"""Windows over (B, H, W, C) maps: padding, laying out, and which of their tokens belong together.

A map is cut one axis at a time into *runs* of windows: pairs of pieces, and of numbers that differ
for tokens of a window that must not see each other, or None where all may. So only the few windows
that hold padding or opposite ends of the map carry a mask. A piece is a view of the map with the
axis as (windows, tokens); the pieces of a run, one behind the other, are whole windows.
"""

import torch
import torch.nn.functional as F

from .bands import in_graph, join, up_to


def pad_to(x, multiple, value=None):
    """Pad (B, H, W, C) at bottom and right to a multiple, with zeros or the vector `value`."""
    B, H, W, C = x.shape
    bottom, right = up_to(H, multiple), up_to(W, multiple)
    if in_graph():
        return pad_in_graph(x, bottom, right, value)
    if not (bottom or right):
        return x  # F.pad would copy the whole map for nothing
    if value is None:
        return F.pad(x, (0, 0, 0, right, 0, bottom))
    value = value.to(x.dtype)
    x = torch.cat([x, value.expand(B, H, right, C)], 2)
    return torch.cat([x, value.expand(B, bottom, W + right, C)], 1)


def pad_in_graph(x, bottom, right, value):
    """The same without a choice that depends on the size."""
    H, W = x.shape[1:3]
    x = F.pad(x, (0, 0, 0, right, 0, bottom))
    if value is None:
        return x
    rows, columns = (torch.arange(n, device=x.device) for n in x.shape[1:3])
    return x + ((rows >= H)[:, None] | (columns >= W))[..., None] * value.to(x.dtype)


def place(token, end, length):
    """A number for a token or a tensor of them, counted on behind the `end` of an axis.

    It tells padding, behind `length`, from the map, and what the axis begins with again.
    """
    return 2 * (token >= end) + (token % end >= length)


class Windows:
    """Windows of size x size tokens on a padded map whose tokens have heads x channels numbers."""

    def __init__(self, size, heads, channels):
        self.size, self.heads, self.channels = size, heads, channels

    def runs(self, end, shift, length):
        """Neighbouring tokens: windows that start `shift` tokens in; the last joins both ends.

        Of the `end` tokens of the axis the first `length` are the map, padding follows. A piece is
        (its first token, tokens of each window, windows).
        """
        inner = max(length - shift, 0) // self.size
        runs = [([(shift, self.size, inner)], None)] if inner else []
        for first in range(shift + inner * self.size, end + shift, self.size):
            before = min(max(end - first, 0), self.size)  # tokens up to the end of the map
            pieces = [(first % end, before, 1), ((first + before) % end, self.size - before, 1)]
            window = range(first, first + self.size)
            places = tuple(place(token, end, length) for token in window)
            runs.append(([piece for piece in pieces if piece[1]], places))
        return runs

    def order(self, tokens, count, shift):
        """The numbers of all tokens along an axis, one of `count` windows after the other."""
        return (tokens + shift) % (tokens.amax(0) + 1)

    def piece(self, x, axis, piece):
        """(..., tokens, ...) -> (..., windows, size, ...), a view."""
        first, tokens, windows = piece
        return x.narrow(axis, first, windows * tokens).unflatten(axis, (windows, tokens))

    def windows(self, x, rows, columns):
        """(B, H, W, C) -> (B, windows, size, windows, size, C), those of a run each way."""
        x = join([self.piece(x, 1, piece) for piece in rows], 2)
        return join([self.piece(x, 3, piece) for piece in columns], 4)

    def cut(self, x, rows, columns):
        """(B, H, W, nC) -> n times (windows, heads, N, C / heads), those of a run each way."""
        x = self.windows(x, rows, columns)
        x = x.unflatten(-1, (-1, self.heads, self.channels))
        return x.permute(5, 0, 1, 3, 6, 2, 4, 7).flatten(5, 6).flatten(1, 3)

    def put(self, canvas, x, rows, columns):
        """Write what comes of `cut`, back to (B, H, W, heads, C / heads)."""
        shape = len(canvas), rows[0][2], columns[0][2]
        x = x.unflatten(2, (self.size, self.size)).unflatten(0, shape).permute(0, 1, 4, 2, 5, 3, 6)
        for row, part in zip(rows, x.split([size for _, size, _ in rows], 2), strict=True):
            band = self.piece(canvas, 1, row)
            parts = part.split([size for _, size, _ in columns], 4)
            for column, part in zip(columns, parts, strict=True):
                self.piece(band, 3, column).copy_(part)


class Grids(Windows):
    """Tokens spread evenly over the map, size x size of them at a time."""

    def runs(self, end, shift, length):
        """Window i of n holds the tokens i, i + n, i + 2 n, ...

        A piece is (its first window, tokens of each window, windows).
        """
        size = self.size
        tokens, fuller = divmod(length, end // size)  # of the map; the first windows hold one more
        runs = [(0, tokens + 1, fuller), (fuller, tokens, end // size - fuller)]
        return [
            ([(first, size, n)], None if held == size else tuple(i >= held for i in range(size)))
            for first, held, n in runs
            if n
        ]

    def order(self, tokens, count, shift):
        """The numbers of all tokens along an axis, one of `count` windows after the other."""
        return tokens % self.size * count + tokens // self.size

    def piece(self, x, axis, piece):
        """(..., tokens, ...) -> (..., windows, size, ...), a view."""
        first, size, windows = piece
        return x.unflatten(axis, (size, -1)).transpose(axis, axis + 1).narrow(axis, first, windows)


def apart(rows, columns, size, device):
    """(N, N): whether two tokens of a window must not see each other, from their runs' numbers."""
    rows, columns = (torch.tensor(place or (0,) * size, device=device) for place in (rows, columns))
    rows, columns = rows.repeat_interleave(size), columns.repeat(size)
    return (rows[:, None] != rows) | (columns[:, None] != columns)
