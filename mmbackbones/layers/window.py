"""Windows over (B, H, W, C) maps: padding, laying out, and which of their tokens belong together.

A map is cut one axis at a time into *runs* of windows: pairs of pieces, and of numbers that differ
for tokens of a window that must not see each other, or None where all may. So only the few windows
that hold padding or opposite ends of the map carry a mask. A piece is a view of the map with the
axis as (windows, tokens); the pieces of a run, one behind the other, are whole windows.
"""

import torch
import torch.nn.functional as F

from .bands import in_graph


def pad_to(x, multiple, value=None):
    """Pad (B, H, W, C) at bottom and right to a multiple, with zeros or the vector `value`."""
    B, H, W, C = x.shape
    bottom, right = (-(-side // multiple) * multiple - side for side in (H, W))
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


def window_runs(end, size, shift, length):
    """Neighbouring tokens: windows that start `shift` tokens in; the last joins both ends.

    Of the `end` tokens of the axis the first `length` are the map, padding follows. A piece is
    (its first token, tokens of each window, windows).
    """
    inner = max(length - shift, 0) // size
    runs = [([(shift, size, inner)], None)] if inner else []
    for first in range(shift + inner * size, end + shift, size):
        before = min(max(end - first, 0), size)  # tokens up to the end of the map
        pieces = [(first % end, before, 1), ((first + before) % end, size - before, 1)]
        window = range(first, first + size)
        place = tuple(2 * (token >= end) + (token % end >= length) for token in window)
        runs.append(([piece for piece in pieces if piece[1]], place))
    return runs


def places(end, shift, length, device):
    """(end,): the numbers of `window_runs` for an axis that was rolled by `shift`, as a tensor."""
    token = torch.arange(end, device=device) + shift
    return 2 * (token >= end) + (token % end >= length)


def window_piece(x, axis, piece):
    """(..., tokens, ...) -> (..., windows, size, ...), a view."""
    first, tokens, windows = piece
    return x.narrow(axis, first, windows * tokens).unflatten(axis, (windows, tokens))


def grid_runs(end, size, length):
    """Tokens spread evenly: window i of n holds the tokens i, i + n, i + 2 n, ...

    A piece is (its first window, tokens of each window, windows).
    """
    tokens, fuller = divmod(length, end // size)  # of the map; the first windows hold one more
    runs = [(0, tokens + 1, fuller), (fuller, tokens, end // size - fuller)]
    return [
        ([(first, size, n)], None if held == size else tuple(i >= held for i in range(size)))
        for first, held, n in runs
        if n
    ]


def grid_piece(x, axis, piece):
    """(..., tokens, ...) -> (..., windows, size, ...), a view."""
    first, size, windows = piece
    return x.unflatten(axis, (size, -1)).transpose(axis, axis + 1).narrow(axis, first, windows)


def apart(rows, columns, size, device):
    """(N, N): whether two tokens of a window must not see each other, from their runs' numbers."""
    rows, columns = (torch.tensor(place or (0,) * size, device=device) for place in (rows, columns))
    rows, columns = rows.repeat_interleave(size), columns.repeat(size)
    return (rows[:, None] != rows) | (columns[:, None] != columns)
