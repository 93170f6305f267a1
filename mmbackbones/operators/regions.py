"""Regions on maps, and where their samples lie."""

from typing import NamedTuple

import torch

from .sampling import on_cpu, precise


class Boxes(NamedTuple):
    """Regions on a map: the image of each, its upper left corner and its size, in cells."""

    image: torch.Tensor
    y: torch.Tensor
    x: torch.Tensor
    height: torch.Tensor
    width: torch.Tensor

    def take(self, index):
        """The regions at an index, a slice or a mask."""
        return Boxes(*(column[index] for column in self))


def refuse_negative(boxes):
    """Raise if a side is negative or NaN: on a CPU, as mmcv does; elsewhere a look would wait."""
    if on_cpu(boxes.height) and not ((boxes.height >= 0) & (boxes.width >= 0)).all():
        raise RuntimeError('RoIAlign got a region with a side that is negative or not a number')


def boxes_on_map(rois, spatial_scale, aligned):
    """Regions (N, 5) of an index and two corners in an image as boxes on its map.

    With `aligned=False`, sides are at least 1 long; with None, as long as they are.
    """
    (rois,) = precise(rois)
    x1, y1, x2, y2 = (rois[:, 1:].T * spatial_scale) - (0.5 if aligned else 0)
    height, width = y2 - y1, x2 - x1
    if aligned is False:
        height, width = height.clamp(min=1), width.clamp(min=1)
    boxes = Boxes(rois[:, 0].long(), y1, x1, height, width)
    if aligned:
        refuse_negative(boxes)
    return boxes


class Samples(NamedTuple):
    """Samples along an axis, as steps to the bins and places in a bin, and how many there are.

    A position is the sum `start + steps + places` in this order, which is mmcv's: a sample at the
    border of a map falls on the same side.
    """

    steps: torch.Tensor  # (regions, bins, 1)
    places: torch.Tensor  # (regions, 1, samples)
    number: torch.Tensor  # (regions,)
    exist: torch.Tensor  # (regions, 1, samples)


def samples_along(size, bins, ratio):
    """The samples of bins; without a ratio, a bin has about one for each cell."""
    bin_size = (size / bins)[:, None, None]
    count = torch.full_like(size, ratio) if ratio > 0 else (size / bins).float().ceil().to(size)
    count = count.nan_to_num(0, 0, 0).clamp(min=0)
    sample = torch.arange(int(count.max()) if len(count) else 0, device=size.device)
    places = (sample + 0.5) * bin_size / count[:, None, None]
    steps = torch.arange(bins, device=size.device)[:, None] * bin_size
    return Samples(steps, places, count, sample < count[:, None, None])


def grid(boxes, size, ratio, y=None, x=None):
    """Positions (N, *size, samples) of samples, and the share of each in the average of its bin.

    `y` and `x` (N, *size) are where the grid of each bin begins, if not where its region does.
    """
    y = boxes.y[:, None, None] if y is None else y
    x = boxes.x[:, None, None] if x is None else x
    rows = samples_along(boxes.height, size[0], ratio)
    columns = samples_along(boxes.width, size[1], ratio)
    y = y[..., None, None] + rows.steps[..., None, None] + rows.places[:, None, :, :, None]
    x = x[..., None, None] + columns.steps[:, None, :, :, None] + columns.places[:, None, :, None]
    exist = rows.exist[:, None, :, :, None] & columns.exist[:, None, :, None]
    share = exist / (rows.number * columns.number).clamp(min=1)[:, None, None, None, None]
    return [t.flatten(3) for t in torch.broadcast_tensors(y, x, share)]


def by_size(boxes, function):
    """What a function gives for regions, of which few of about equal size are taken at a time."""
    order = (boxes.height * boxes.width).argsort()
    found = torch.cat([function(part) for part in order.split(64)])
    return found[order.argsort()]
