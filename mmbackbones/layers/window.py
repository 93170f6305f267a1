"""Windows over (B, H, W, C) maps: padding, laying out, and which of their tokens belong together.

A map is cut one axis at a time into *runs*: pairs of a part, with the axis as (windows, size), and
of numbers that differ for tokens of a window that must not see each other, or None where all may.
So only the few windows that hold padding or opposite ends of the map carry a mask.
"""

import torch
import torch.nn.functional as F


def pad_to(x, multiple, value=None):
    """Pad (B, H, W, C) at bottom and right to a multiple, with zeros or the vector `value`."""
    B, H, W, C = x.shape
    bottom, right = -H % multiple, -W % multiple
    if not (bottom or right):
        return x  # F.pad would copy the whole map for nothing
    if value is None:
        return F.pad(x, (0, 0, 0, right, 0, bottom))
    value = value.to(x.dtype)
    x = torch.cat([x, value.expand(B, H, right, C)], 2)
    return torch.cat([x, value.expand(B, bottom, W + right, C)], 1)


def window_runs(x, axis, size, shift, length):
    """Neighbouring tokens: windows that start `shift` tokens in; the last joins both ends.

    The first `length` tokens are the map, padding follows.
    """
    end = x.shape[axis]
    start = shift + max(length - shift, 0) // size * size
    runs = [(x.narrow(axis, shift, start - shift), None)] if start > shift else []
    if start < end or shift:
        rest = torch.cat([x.narrow(axis, start, end - start), x.narrow(axis, 0, shift)], axis)
        token = torch.arange(start, end + shift, device=x.device)
        place = 2 * (token >= end).int() + (token % end >= length)  # an end, padded or not
        runs += zip(rest.split(size, axis), place.split(size), strict=True)
    return [(part.unflatten(axis, (-1, size)), place) for part, place in runs]


def window_join(x, shift):
    """(B, windows, size, windows, size, C), cut by `window_runs` -> (B, H, W, C)."""
    x = x.flatten(3, 4).flatten(1, 2)
    return x.roll((shift, shift), (1, 2)) if shift else x


def grid_runs(x, axis, size, length):
    """Tokens spread evenly: window i of n holds the tokens i, i + n, i + 2 n, ..."""
    n = x.shape[axis] // size
    x = x.unflatten(axis, (size, n)).transpose(axis, axis + 1)
    tokens, fuller = divmod(length, n)  # of the map, in each window; the first ones hold one more
    counts = [(fuller, tokens + 1), (n - fuller, tokens)]
    parts = x.split([windows for windows, _ in counts], axis)
    place = torch.arange(size, device=x.device)
    runs = [(p, None if c == size else place >= c) for p, (_, c) in zip(parts, counts, strict=True)]
    return [run for run in runs if run[0].shape[axis]]


def grid_join(x):
    """(B, windows, size, windows, size, C), cut by `grid_runs` -> (B, H, W, C)."""
    return x.transpose(1, 2).transpose(3, 4).flatten(3, 4).flatten(1, 2)


def join(parts, axis):
    """torch.cat that does not copy a single part."""
    return torch.cat(parts, axis) if len(parts) > 1 else parts[0]


def apart(rows, columns, size):
    """(N, N): whether two tokens of a window must not see each other, from their runs' numbers."""
    none = torch.zeros(size, dtype=torch.int, device=(columns if rows is None else rows).device)
    rows = (none if rows is None else rows).repeat_interleave(size)
    columns = (none if columns is None else columns).repeat(size)
    return (rows[:, None] != rows) | (columns[:, None] != columns)
