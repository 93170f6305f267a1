"""Regions whose samples are no grid along the axes, or of which the largest value is wanted.

Maxima of RoIAlign and RoI pooling (Girshick, https://arxiv.org/abs/1504.08083); rotated regions
(RRPN, https://arxiv.org/abs/1703.01086) and rotation-invariant ones (ReDet,
https://arxiv.org/abs/2103.07733); Bezier curves (ABCNet, https://arxiv.org/abs/2002.10200);
deformable RoI pooling (https://arxiv.org/abs/1703.06211); corners of refined boxes (R3Det,
https://arxiv.org/abs/1908.05612); borders (BorderDet, https://arxiv.org/abs/2007.11056).
"""

import math

import torch

from .regions import Boxes, boxes_on_map, by_size, grid, refuse_negative
from .sampling import add_gradients, cells, clamped_bags, precise, sum_bags

LOWEST = -10000.0  # where mmcv's search for the largest sample begins


def bags(maps, image, y, x):
    """The cells of maps, and of samples (N, ...) their indices and weights (N, ..., 4)."""
    height, width = maps.shape[2:]
    index, weight = clamped_bags(y, x, height, width)
    image = image.view(-1, *[1] * (index.dim() - 1))
    (table,) = precise(cells(maps))
    return table, index + image * (height * width), weight


def average(maps, image, y, x, share):
    """Averages (N, C, *size) of samples at y and x with shares, all (N, *size, samples)."""
    table, index, weight = bags(maps, image, y, x)
    weight = weight * share[..., None]
    found = sum_bags(table, index.flatten(0, 2).flatten(1), weight.flatten(0, 2).flatten(1))
    return found.view(*y.shape[:3], maps.shape[1]).permute(0, 3, 1, 2)


def samples(maps, image, y, x):
    """Single samples (N, ..., C) at positions (N, ...)."""
    table, index, weight = bags(maps, image, y, x)
    found = sum_bags(table, index.flatten(0, -2), weight.flatten(0, -2))
    return found.view(*y.shape, maps.shape[1])


def largest_samples(maps, boxes, size, ratio):
    """The largest sample (N, C, *size) of each bin, its y and its x, which are -1 without one."""

    def function(part):
        some = boxes.take(part)
        y, x, share = grid(some, size, ratio)
        values = samples(maps, some.image, y, x)
        values = torch.where(share[..., None] > 0, values, -torch.inf)
        lowest = values.new_full((*values.shape[:3], 1, values.shape[4]), LOWEST)
        best, place = torch.cat([lowest, values], 3).max(3)
        places = [torch.cat([torch.full_like(p[..., :1], -1), p], 3) for p in (y, x)]
        places = [p.gather(3, place.flatten(3)).view_as(best) for p in places]
        return torch.stack([best, *places], 1)

    return by_size(boxes, function).permute(1, 0, 4, 2, 3)


def spread_largest(grad, rois, argmax_y, argmax_x, grad_input):
    """Add the gradients of largest samples to those of the maps."""
    _, channels, height, width = grad_input.shape
    y, x, grad = precise(argmax_y, argmax_x, grad)
    index, weight = clamped_bags(y, x, height, width)
    channel = torch.arange(channels, device=grad.device)[:, None, None]
    plane = rois[:, 0].long().view(-1, 1, 1, 1) * channels + channel
    index = index + (plane * (height * width))[..., None]
    weight = weight * torch.where(y == -1, 0, grad)[..., None]
    spread = weight.new_zeros(grad_input.numel())
    grad_input.add_(spread.scatter_add_(0, index.flatten(), weight.flatten()).view_as(grad_input))


def pooling_cells(start, size, bins, length):
    """Cells (N, bins, K) of each bin along an axis, and which exist; bins overlap by a cell."""
    bin_size = (size / bins)[:, None]
    number = torch.arange(bins, device=start.device)
    first = (number * bin_size + start[:, None]).floor().clamp(0, length)
    last = ((number + 1) * bin_size + start[:, None]).ceil().clamp(0, length)
    most = int((last - first).max()) if first.numel() else 0
    cell = first[..., None] + torch.arange(most, device=start.device)
    return cell.clamp(max=length - 1).long(), cell < last[..., None]


def roi_pool_forward(input, rois, output, argmax, pooled_height, pooled_width, spatial_scale):
    """Write the largest cell of each bin, and its number in the map, -1 for an empty bin."""
    (rois,) = precise(rois)
    x1, y1 = rois[:, 1] * spatial_scale, rois[:, 2] * spatial_scale
    x2, y2 = (rois[:, 3] + 1) * spatial_scale, (rois[:, 4] + 1) * spatial_scale
    boxes = Boxes(rois[:, 0].long(), y1, x1, y2 - y1, x2 - x1)
    height, width = input.shape[2:]
    planes = input.flatten(2)

    def function(part):
        some = boxes.take(part)
        y, y_exists = pooling_cells(some.y, some.height, pooled_height, height)
        x, x_exists = pooling_cells(some.x, some.width, pooled_width, width)
        whole = ((some.height > 0) & (some.width > 0)).view(-1, 1, 1, 1, 1)
        exist = y_exists[:, :, None, :, None] & x_exists[:, None, :, None] & whole
        cell = (y[:, :, None, :, None] * width + x[:, None, :, None]).flatten(3)
        none = cell.new_full((*cell.shape[:3], 1), -1)
        cell = torch.cat([none, torch.where(exist.flatten(3), cell, -1)], 3)[:, None]
        values = planes[some.image[:, None], :, cell.flatten(1).clamp(min=0)].movedim(2, 1)
        values = values.unflatten(2, cell.shape[2:])
        best, place = torch.where(cell < 0, -torch.inf, values).max(4)
        place = cell.expand(-1, best.shape[1], -1, -1, -1).gather(4, place[..., None])[..., 0]
        return torch.stack([torch.where(place < 0, 0, best).double(), place.double()], 1)

    best, place = by_size(boxes, function).unbind(1)
    output.copy_(best)
    argmax.copy_(place)


def roi_pool_backward(
    grad_output, rois, argmax, grad_input, pooled_height, pooled_width, spatial_scale
):
    """Add the gradient of each bin to its largest cell."""
    planes = rois[:, 0].long()[:, None] * grad_input.shape[1]
    planes = planes + torch.arange(grad_input.shape[1], device=rois.device)
    cell = planes[..., None] * grad_input[0, 0].numel() + argmax.flatten(2).clamp(min=0)
    grad = torch.where(argmax < 0, 0, grad_output).flatten()
    spread = torch.zeros_like(grad_input).flatten().index_add_(0, cell.flatten(), grad)
    grad_input.add_(spread.view_as(grad_input))


def turned(boxes, y, x, angle):
    """Positions relative to the centre of a region (N, ...), turned around it."""
    shape = (-1, *[1] * (y.dim() - 1))
    cos, sin = angle.cos().view(shape), angle.sin().view(shape)
    return y * cos - x * sin + boxes.y.view(shape), y * sin + x * cos + boxes.x.view(shape)


def rotated_boxes(rois, spatial_scale, offset, least):
    """Regions (N, 6) of an index, a centre, sides and an angle; boxes begin at the centre."""
    (rois,) = precise(rois)
    x, y, width, height = rois[:, 1:5].T * spatial_scale
    height, width = height.clamp(min=least), width.clamp(min=least)
    return Boxes(rois[:, 0].long(), y - offset, x - offset, height, width), rois[:, 5]


def rotated_averages(maps, boxes, angle, size, ratio):
    """Averages (N, C, *size) in the bins of rotated regions."""

    def function(part):
        some = boxes.take(part)
        corner = some._replace(y=-some.height / 2, x=-some.width / 2)
        y, x, share = grid(corner, size, ratio)
        y, x = turned(some, y, x, angle[part])
        return average(maps, some.image, y, x, share)

    return by_size(boxes, function)


def roi_align_rotated(
    maps, rois, pooled_height, pooled_width, spatial_scale, sampling_ratio, aligned, clockwise
):
    """RoIAlign of rotated regions (N, 6)."""
    offset, least = (0.5, -torch.inf) if aligned else (0, 1)
    boxes, angle = rotated_boxes(rois, spatial_scale, offset, least)
    if aligned:
        refuse_negative(boxes)
    size = pooled_height, pooled_width
    return rotated_averages(maps, boxes, -angle if clockwise else angle, size, sampling_ratio)


def riroi_align_rotated(
    maps, rois, pooled_height, pooled_width, spatial_scale, num_samples, num_orientations,
    clockwise,
):  # fmt: skip
    """RoIAlign of rotated regions, whose channels of orientations are turned with them."""
    boxes, angle = rotated_boxes(rois, spatial_scale, 0, 1)
    size = pooled_height, pooled_width
    turn = -angle if clockwise else angle
    found = rotated_averages(maps, boxes, turn, size, num_samples)
    found = found.unflatten(1, (-1, num_orientations))
    step = angle * num_orientations / (2 * math.pi)
    whole = step.floor()
    orientation = torch.arange(num_orientations, device=maps.device)
    first = (orientation - whole.long()[:, None]) % num_orientations
    part = (step - whole).view(-1, 1, 1, 1, 1)
    here, there = (
        found.gather(2, index[:, None, :, None, None].expand_as(found))
        for index in (first, (first + 1) % num_orientations)
    )
    return ((1 - part) * here + part * there).flatten(1, 2)


def bezier_align(maps, rois, aligned_height, aligned_width, spatial_scale, sampling_ratio, aligned):
    """RoIAlign between two Bezier curves (N, 17): an index, and four points of each."""
    (rois,) = precise(rois)
    points = rois[:, 1:].unflatten(1, (2, 4, 2)) * spatial_scale
    upper, lower = points[:, 0], points[:, 1].flip(1)
    width, height = torch.maximum(
        (upper[:, 0] - upper[:, 3]).abs(), (lower[:, 0] - lower[:, 3]).abs()
    ).T
    if not aligned:
        height, width = height.clamp(min=1), width.clamp(min=1)
    size = aligned_height, aligned_width
    u = torch.arange(size[1], device=rois.device, dtype=rois.dtype)[:, None] / size[1]
    v = torch.arange(size[0], device=rois.device, dtype=rois.dtype)[:, None, None] / size[0]
    bernstein = torch.stack([(1 - u) ** 3, 3 * u * (1 - u) ** 2, 3 * u**2 * (1 - u), u**3])
    above, below = ((bernstein[:, :, 0].T @ curve)[:, None] for curve in (upper, lower))
    middle = below * v + above * (1 - v) - (0.5 if aligned else 0)
    boxes = Boxes(rois[:, 0].long(), middle[..., 1], middle[..., 0], height, width)
    # The grid of one bin, around the middle of each.
    place = [
        torch.arange(n, device=rois.device).view(shape) + 0.5
        for n, shape in zip(size, ((-1, 1), (1, -1)), strict=True)
    ]

    def function(part):
        some = boxes.take(part)
        down = (some.height / size[0]).view(-1, 1, 1)
        across = (some.width / size[1]).view(-1, 1, 1)
        y, x, share = grid(
            some, size, sampling_ratio, some.y - down * place[0], some.x - across * place[1]
        )
        return average(maps, some.image, y, x, share)

    return by_size(boxes, function)


def deform_roi_pool(
    maps, offset, rois, pooled_height, pooled_width, spatial_scale, sampling_ratio, gamma
):
    """Averages in the bins of regions, each moved by an offset in parts of its region's sides."""
    boxes = boxes_on_map(rois, spatial_scale, aligned=True)
    size = pooled_height, pooled_width

    def function(part):
        some, y, x = boxes.take(part), None, None
        if offset.numel():
            right, down = precise(offset[part])[0].unbind(1)
            y = some.y[:, None, None] + gamma * some.height[:, None, None] * down
            x = some.x[:, None, None] + gamma * some.width[:, None, None] * right
        return average(maps, some.image, *grid(some, size, sampling_ratio, y, x))

    return by_size(boxes, function)


def rotated_feature_align(features, best_bboxes, spatial_scale, points):
    """Features (B, C, H, W) plus samples at the centre, or also the corners, of a box per cell."""
    (box,) = precise(best_bboxes)
    y, x, width, height = (box[..., i] * spatial_scale for i in range(4))
    angle = box[..., 4]
    across, down = angle.cos() * width / 2, angle.sin() * width / 2
    left, up = -angle.sin() * height / 2, angle.cos() * height / 2
    signs = [(0, 0), (1, 1), (-1, 1), (-1, -1), (1, -1)][: 5 if points > 1 else 1]
    y, x = (
        torch.stack([centre + a * along + b * over for a, b in signs], -1)
        for centre, along, over in ((y, down, up), (x, across, left))
    )
    image = torch.arange(len(features), device=features.device)
    return features + average(features, image, y, x, torch.ones_like(y)).to(features.dtype)


def border_samples(maps, boxes, pool_size):
    """Samples (B, C, N, pool_size + 1) along the top, left, bottom and right side of boxes."""
    (boxes,) = precise(boxes)
    x1, y1, x2, y2 = boxes.unbind(2)
    step = torch.arange(pool_size + 1, device=maps.device)
    across, down = (
        ((end - begin) / pool_size)[..., None] * step for begin, end in ((x1, x2), (y1, y2))
    )
    x1, y1, x2, y2 = (c[..., None] for c in (x1, y1, x2, y2))
    sides = [(y1, x1 + across), (y1 + down, x1), (y2, x2 - across), (y2 - down, x2)]
    image = torch.arange(len(maps), device=maps.device)
    found = [
        samples(part, image, *torch.broadcast_tensors(y, x))
        for part, (y, x) in zip(maps.chunk(4, 1), sides, strict=True)
    ]
    return torch.stack(found, 3).movedim(4, 1)  # (B, C, N, pool_size + 1, 4)


def border_align_forward(input, boxes, output, argmax_idx, pool_size):
    """Write the largest sample on each side of boxes (B, N, 4), and which it is."""
    best, place = border_samples(input, boxes, pool_size).max(3)
    output.copy_(best)
    argmax_idx.copy_(place)


def border_align_backward(grad_output, boxes, argmax_idx, grad_input, pool_size):
    """Add the gradients of the largest samples."""

    def largest(maps):
        found = border_samples(maps, boxes, pool_size)
        return found.gather(3, argmax_idx[:, :, :, None].long())[:, :, :, 0]

    add_gradients(largest, [torch.zeros_like(grad_input)], grad_output, [grad_input])


def linear_backward(function):
    """The backward operator, as mmcv calls it, of a function that is linear in the maps."""

    def backward(grad_output, regions, grad_input, **options):
        maps = torch.zeros_like(grad_input)
        add_gradients(lambda m: function(m, regions, **options), [maps], grad_output, [grad_input])

    return backward


def forward(function):
    """The forward operator, as mmcv calls it: it writes the result into `output`."""

    def write(maps, regions, output, **options):
        output.copy_(function(maps, regions, **options))

    return write


def deform_roi_pool_forward(input, rois, offset, output, **options):
    """Write what `deform_roi_pool` gives."""
    output.copy_(deform_roi_pool(input, offset, rois, **options))


def deform_roi_pool_backward(grad_output, input, rois, offset, grad_input, grad_offset, **options):
    """Add the gradients of the maps and, where there are some, of the offsets."""
    add_gradients(
        lambda maps, moved: deform_roi_pool(maps, moved, rois, **options),
        [input, offset], grad_output, [grad_input, grad_offset],
    )  # fmt: skip


roi_align_rotated_forward = forward(roi_align_rotated)
roi_align_rotated_backward = linear_backward(roi_align_rotated)
riroi_align_rotated_forward = forward(riroi_align_rotated)
riroi_align_rotated_backward = linear_backward(riroi_align_rotated)
bezier_align_forward = forward(bezier_align)
bezier_align_backward = linear_backward(bezier_align)
rotated_feature_align_forward = forward(rotated_feature_align)
rotated_feature_align_backward = linear_backward(rotated_feature_align)
