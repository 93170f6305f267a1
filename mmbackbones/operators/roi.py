"""RoIAlign with averages, and Precise RoI pooling: two small matrix products for each region.

An average over a grid of bilinear samples is separable: `out = Wy @ crop @ Wx^T`, where the rows
of `Wy` (bins, rows) and `Wx` (bins, columns) hold the averaged interpolation weights of the cells,
and samples outside of the map weigh nothing. A grid that adapts to the region is another weight,
and so is the exact integral of Precise RoI pooling. The gradient is the transposed product.

RoIAlign is of He et al., https://arxiv.org/abs/1703.06870; Precise RoI pooling of Jiang et al.,
https://arxiv.org/abs/1807.11590.
"""

from typing import NamedTuple

import torch

from .graphs import node
from .regions import boxes_on_map, samples_along
from .sampled_roi import largest_samples, spread_largest
from .sampling import BUDGET, clamped_axis, on_cpu, precise


class Axis(NamedTuple):
    """Weights (regions, bins, cells) along one axis, and the first and last cell of each region."""

    weights: torch.Tensor
    first: torch.Tensor
    last: torch.Tensor


def align_axis(start, size, bins, ratio, length):
    """RoIAlign's weights along one axis."""
    samples = samples_along(size, bins, ratio)
    position = start[:, None, None] + samples.steps + samples.places
    low, high, share, live = clamped_axis(position, length)
    weight = (live & samples.exist) / samples.number.clamp(min=1)[:, None, None]
    index, weight = torch.cat([low, high], 2), torch.cat([weight * (1 - share), weight * share], 2)
    return gather_axis(index, weight, length)


def integral_axis(start, size, bins, length):
    """Precise RoI pooling's weights: integrals over a bin of the hat around each cell."""
    bin_size = size[:, None, None] / bins
    begin = start[:, None, None] + torch.arange(bins, device=size.device)[:, None] * bin_size
    cell = torch.arange(length, device=size.device)
    weight = hat_integral(begin + bin_size - cell) - hat_integral(begin - cell)
    weight = torch.where(bin_size > 0, weight / bin_size, 0)
    return gather_axis(cell.expand_as(weight), weight, length)


def hat_integral(x):
    """Integral up to x of the hat `1 - |x|` between -1 and 1."""
    x = x.clamp(-1, 1)
    return x - x * x.abs() / 2


def gather_axis(index, weight, length):
    """An axis of the weights of cells (regions, bins, any), where a cell may come twice."""
    used = weight != 0
    first = torch.where(used, index, length - 1).amin((1, 2))
    last = torch.maximum(torch.where(used, index, 0).amax((1, 2)), first)
    cells = int((last - first).max()) + 1
    weights = weight.new_zeros(*weight.shape[:2], cells)
    weights.scatter_add_(2, (index - first[:, None, None]).clamp(0, cells - 1), weight)
    return Axis(weights, first, last)


def chunks(boxes, axes, channels):
    """(indices, images, Axis of rows, Axis of columns) of regions of about equal size.

    `axes` makes the two axes of boxes. Many regions at a time are quick on a GPU; on a CPU they
    are taken from the map one by one, without copies.
    """
    # The smallest first, so that a large one is alone with its like.
    for part in (boxes.height * boxes.width).argsort().split(64) if len(boxes.image) else ():
        rows, columns = axes(boxes.take(part))
        cells = rows.weights.shape[2] * columns.weights.shape[2]
        step = max(1, BUDGET // (cells * channels))
        pieces = (x.split(step) for x in (part, boxes.image[part], *rows, *columns))
        for index, image, wy, y0, y1, wx, x0, x1 in zip(*pieces, strict=True):
            yield index, image, Axis(wy, y0, y1), Axis(wx, x0, x1)


def windows(image, rows, columns, channels):
    """Of each region, its number, its part of maps (B, H, W * C), and its two weight matrices."""
    corners = [image, rows.first, rows.last + 1, columns.first, columns.last + 1]
    for i, (b, y0, y1, x0, x1) in enumerate(torch.stack(corners, 1).tolist()):
        part = (b, slice(y0, y1), slice(x0 * channels, x1 * channels))
        yield i, part, rows.weights[i, :, : y1 - y0], columns.weights[i, :, : x1 - x0]


def cell_indices(image, rows, columns, height, width):
    """Indices (regions, rows, columns) into the cells (B * H * W, C) of maps."""
    y = rows.first[:, None] + torch.arange(rows.weights.shape[2], device=image.device)
    x = columns.first[:, None] + torch.arange(columns.weights.shape[2], device=image.device)
    y, x = y.clamp(max=height - 1), x.clamp(max=width - 1)
    return (image[:, None, None] * height + y[:, :, None]) * width + x[:, None]


def pool(maps, boxes, axes, size):
    """Averages (N, C, *size) of maps (B, C, H, W) in the bins of regions."""
    _, channels, height, width = maps.shape
    (table,) = precise(maps.permute(0, 2, 3, 1).contiguous())
    output = table.new_zeros(len(boxes.image), *size, channels)
    for index, image, rows, columns in chunks(boxes, axes, channels):
        if on_cpu(maps):
            lines = table.flatten(2)
            for i, part, wy, wx in windows(image, rows, columns, channels):
                bins = (wy @ lines[part]).unflatten(1, (-1, channels))
                torch.matmul(wx, bins, out=output[index[i]])
        else:
            cells = cell_indices(image, rows, columns, height, width)
            crops = table.view(-1, channels)[cells]
            bins = (rows.weights @ crops.flatten(2)).unflatten(2, (-1, channels))
            output[index] = columns.weights[:, None] @ bins
    return output.permute(0, 3, 1, 2)


def pool_backward(grad, boxes, axes, grad_input):
    """Write the gradients of the maps into `grad_input` from those of `pool` (N, C, *size)."""
    batch, channels, height, width = grad_input.shape
    (grad,) = precise(grad.permute(0, 2, 3, 1))
    table = grad.new_zeros(batch, height * width, channels)
    for index, image, rows, columns in chunks(boxes, axes, channels):
        if on_cpu(grad):
            lines = table.view(batch, height, -1)
            for i, part, wy, wx in windows(image, rows, columns, channels):
                bins = wx.T @ grad[index[i]]
                lines[part].addmm_(wy.T, bins.flatten(1))
        else:
            bins = columns.weights.mT[:, None] @ grad[index]
            crops = (rows.weights.mT @ bins.flatten(2)).view(-1, channels)
            cells = cell_indices(image, rows, columns, height, width).flatten()
            table.view(-1, channels).index_add_(0, cells, crops)
    for target, source in zip(grad_input, table, strict=True):
        target.view(channels, -1).copy_(source.T)  # a matrix is turned quickly, a map is not


def align_axes(size, ratio, shape):
    """The function from boxes to the two axes of RoIAlign."""
    return lambda boxes: (
        align_axis(boxes.y, boxes.height, size[0], ratio, shape[2]),
        align_axis(boxes.x, boxes.width, size[1], ratio, shape[3]),
    )


def integral_axes(size, shape):
    """The function from boxes to the two axes of Precise RoI pooling."""
    return lambda boxes: (
        integral_axis(boxes.y, boxes.height, size[0], shape[2]),
        integral_axis(boxes.x, boxes.width, size[1], shape[3]),
    )


def bins_of_maps(maps, rois, size, *others):
    """The shape and memory of what `roi_align` returns."""
    return maps.new_empty(rois.shape[0], *size, maps.shape[1]).permute(0, 3, 1, 2)


OPTIONS = 'int[] size, float spatial_scale, int sampling_ratio, bool aligned'


@node(f'(Tensor maps, Tensor rois, {OPTIONS}) -> Tensor', bins_of_maps)
def roi_align(maps, rois, size, spatial_scale, sampling_ratio, aligned):
    """RoIAlign's averages (N, C, *size)."""
    boxes = boxes_on_map(rois, spatial_scale, aligned)
    axes = align_axes(size, sampling_ratio, maps.shape)
    return pool(maps, boxes, axes, size).to(maps.dtype)


@node(f'(Tensor grad, Tensor rois, Tensor(a!) grad_input, {OPTIONS}) -> ()')
def roi_align_gradient(grad, rois, grad_input, size, spatial_scale, sampling_ratio, aligned):
    """Write the gradients of `roi_align`'s maps."""
    boxes = boxes_on_map(rois, spatial_scale, aligned)
    pool_backward(grad, boxes, align_axes(size, sampling_ratio, grad_input.shape), grad_input)


def roi_align_forward(
    input, rois, output, argmax_y, argmax_x, aligned_height, aligned_width, spatial_scale,
    sampling_ratio, pool_mode, aligned,
):  # fmt: skip
    """Write RoIAlign's averages (pool_mode 1) or maxima (0) and their places."""
    size = aligned_height, aligned_width
    if pool_mode == 1:
        output.copy_(roi_align(input, rois, size, spatial_scale, sampling_ratio, aligned))
    else:
        boxes = boxes_on_map(rois, spatial_scale, aligned)
        found = largest_samples(input, boxes, size, sampling_ratio)
        for target, values in zip((output, argmax_y, argmax_x), found, strict=True):
            target.copy_(values)


def roi_align_backward(
    grad_output, rois, argmax_y, argmax_x, grad_input, aligned_height, aligned_width,
    spatial_scale, sampling_ratio, pool_mode, aligned,
):  # fmt: skip
    """Write the gradients of RoIAlign's input."""
    if pool_mode == 1:
        options = (aligned_height, aligned_width), spatial_scale, sampling_ratio, aligned
        roi_align_gradient(grad_output, rois, grad_input, *options)
    else:
        spread_largest(grad_output, rois, argmax_y, argmax_x, grad_input)


def precise_boxes(rois, spatial_scale):
    """Regions of Precise RoI pooling: a side of less than nothing has length 0."""
    boxes = boxes_on_map(rois, spatial_scale, aligned=None)
    return boxes._replace(height=boxes.height.clamp(min=0), width=boxes.width.clamp(min=0))


def prroi_pool_forward(input, rois, output, pooled_height, pooled_width, spatial_scale):
    """Write exact averages over bins."""
    size = pooled_height, pooled_width
    boxes = precise_boxes(rois, spatial_scale)
    output.copy_(pool(input, boxes, integral_axes(size, input.shape), size))


def prroi_pool_backward(grad_output, rois, grad_input, pooled_height, pooled_width, spatial_scale):
    """Write the gradients of the maps."""
    boxes, shape = precise_boxes(rois, spatial_scale), grad_input.shape
    axes = integral_axes((pooled_height, pooled_width), shape)
    pool_backward(grad_output, boxes, axes, grad_input)
