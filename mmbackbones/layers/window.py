"""Windows over (B, H, W, C) maps: padding, splitting, merging, and the shift between two blocks."""

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


def window_split(x, size):
    """(B, H, W, C) -> (B * windows, size * size, C), neighbours together."""
    B, H, W, C = x.shape
    x = x.reshape(B, H // size, size, W // size, size, C)
    return x.transpose(2, 3).reshape(-1, size * size, C)


def window_merge(x, size, hw):
    """Undo `window_split` for maps of height and width `hw`."""
    H, W = hw
    x = x.reshape(-1, H // size, W // size, size, size, x.shape[-1])
    return x.transpose(2, 3).reshape(-1, H, W, x.shape[-1])


def shift_split(x, size, shift, axis):
    """Lay the windows of one axis `shift` further: the inner ones, and the one made of both ends.

    The two parts one after the other are `x.roll(-shift, axis)`. Only the second needs a mask, and
    the first is a view.
    """
    inner = x.shape[axis] - size
    head, inner, tail = x.split([shift, inner, size - shift], axis)
    return inner, torch.cat([tail, head], axis)


def shift_merge(inner, ends, size, shift, axis):
    """Undo `shift_split`."""
    tail, head = ends.split([size - shift, shift], axis)
    return torch.cat([head, inner, tail], axis)


def shift_mask(size, shift):
    """(2, 2, N, N): -100 between tokens of a window that come from opposite ends of the map.

    The first two axes tell whether the window holds both ends of the rows, and of the columns.
    """
    end = torch.arange(size) >= size - shift
    apart = end[:, None] != end
    rows = apart.repeat_interleave(size, 0).repeat_interleave(size, 1)
    columns = apart.repeat(size, size)
    none = torch.zeros_like(rows)
    return -100.0 * torch.stack([none, columns, rows, rows | columns]).unflatten(0, (2, 2))
