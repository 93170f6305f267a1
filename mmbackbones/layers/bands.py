"""Maps a band of rows at a time: what lies between two layers then stays in the CPU's cache.

A whole map's temporaries are slow there: they travel to memory and back, and above 32 MB the usual
allocator gives each of them pages that the kernel has to clear first.
"""

import torch

BAND = 2**19  # numbers of a map at a time; an MLP has four times as many between its layers


def in_graph():
    """Whether a graph is made of the layers, which is to hold for every size."""
    return torch.compiler.is_compiling() or torch.jit.is_tracing()


def up_to(side, multiple):
    """How much a side lacks to a multiple."""
    return -(-side // multiple) * multiple - side


def in_order(x):
    """In a graph, the same with its numbers in order: it would ask, and the size would answer."""
    return x.clone(memory_format=torch.contiguous_format) if in_graph() else x


def in_cache(x):
    """Whether to go band by band: on the CPU, layer by layer."""
    return x.device.type == 'cpu' and not in_graph()


def ranges(start, stop, most, step=1):
    """(start, stop) of bands of like size, of at most `most` rows but whole steps."""
    count = max(1, -(-(stop - start) // most))
    rows = max(1, -(-(stop - start) // (count * step))) * step
    return [(at, min(at + rows, stop)) for at in range(start, stop, rows)]


def row_bands(x, start=0, stop=None, step=1):
    """Ranges of `step` rows, or of a multiple, that fit the cache; all at once but on the CPU."""
    stop = x.shape[1] if stop is None else stop
    if not in_cache(x):
        return [(start, stop)]
    return ranges(start, stop, max(1, BAND // (step * x[0, 0].numel())) * step, step)


def token_bands(x):
    """Bands for a branch that treats each token by itself, see `add_branch`."""
    return [([rows],) for rows in row_bands(x)]


def whole_map(x):
    """A single band, for a branch in which all tokens meet."""
    return [([(0, x.shape[1])],)]


def by_bands(function, x, channels):
    """The list of function(rows) for a function of single tokens that makes `channels` of each."""
    B, H, W, _ = x.shape
    most = max(1, 2 * BAND // (B * W * channels)) if in_cache(x) else H
    return [function(rows) for rows in x.split(most, 1)]


def add_branch(x, branch, bands, scale=None, spare=None):
    """Give x + scale * branch(rows, *its) for each band (ranges of rows, *its) of x (B, H, W, C).

    The bands' ranges (start, stop) tile the rows of an image; a band of two ranges sees their rows
    one after the other. A single band sees all images at once, else each image goes by itself.
    `scale` is (B, 1, 1, 1) or None. Without gradients, the result is written to `spare` if given,
    which may be x.
    """
    if len(bands) == 1:
        return x + scaled(branch(x, *bands[0][1:]), scale)
    B, H, W, _ = x.shape
    x, result = x.contiguous().view(1, B * H, W, -1), Rejoined(x, spare)
    every = sorted((b * H + i, b * H + j) for b in range(B) for own, *_ in bands for i, j in own)
    pieces = dict(zip(every, x.split([j - i for i, j in every], 1), strict=True))
    for b in range(B):
        for own, *its in bands:
            own = [(b * H + i, b * H + j) for i, j in own]
            band = join([pieces[each] for each in own], 1)
            result.put(own, band + scaled(branch(band, *its), scale if scale is None else scale[b]))
    return result.whole()


class Rejoined:
    """A map like x (B, H, W, C) from bands of its rows; without gradients, written in one place."""

    def __init__(self, x, spare):
        self.shape, self.parts = x.shape, {} if torch.is_grad_enabled() else None
        self.spare = spare if spare is not None and spare.is_contiguous() else None

    def put(self, ranges, band):
        """The band (1, rows, W, C) of these rows, images counted one below the other."""
        parts = zip(ranges, band.split([j - i for i, j in ranges], 1), strict=True)
        if self.parts is not None:
            self.parts.update(parts)
            return
        if self.spare is None or self.spare.dtype != band.dtype:
            self.spare = band.new_empty(self.shape)
        for (i, j), part in parts:
            self.spare.view(1, -1, *self.shape[2:])[:, i:j] = part

    def whole(self):
        """All of it, (B, H, W, C)."""
        if self.parts is None:
            return self.spare
        return torch.cat([self.parts[each] for each in sorted(self.parts)], 1).view(self.shape)


def scaled(y, scale):
    """Y * scale, if there is one."""
    return y if scale is None else y * scale


def join(parts, axis):
    """torch.cat that does not copy a single part."""
    return torch.cat(parts, axis) if len(parts) > 1 else parts[0]
