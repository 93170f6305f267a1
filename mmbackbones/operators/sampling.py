"""Bilinear samples of maps: each is a bag of four weighted cells, and `embedding_bag` adds up bags.

An average of many samples is one larger bag. What gathers the cells of a bag, weighs and sums them
is one kernel of PyTorch on every device, with gradients for the cells and for the weights, and
through the weights for the positions.
"""

import torch
import torch.nn.functional as F

BUDGET = 2**24  # numbers that one chunk of regions may gather: 64 MB in float32


def on_cpu(tensor):
    """Whether small pieces one by one are quicker than many at a time: calls cost little there."""
    return tensor.device.type == 'cpu'


def precise(*tensors):
    """Tensors of 16 bits as float32, in which all sums are formed; others as they are."""
    return [t.float() if t.dtype in (torch.float16, torch.bfloat16) else t for t in tensors]


def cells(maps):
    """The cells (B * H * W, C) of maps (B, C, H, W)."""
    return maps.permute(0, 2, 3, 1).reshape(-1, maps.shape[1])


def clamped_axis(position, length):
    """Neighbours of positions on an axis, the share of the upper one, and which positions count.

    RoIAlign's rule: up to one cell outside, the value is that of the border; farther out, nothing.
    """
    live = (position >= -1) & (position <= length)
    position = torch.where(live, position, 0).clamp(min=0)
    low = position.detach().floor().clamp(max=length - 1)
    share = torch.where(low >= length - 1, 0, position - low)
    low = low.long()
    return low, (low + 1).clamp(max=length - 1), share, live


def clamped_bags(y, x, height, width):
    """Cells (..., 4) and weights (..., 4) of samples at (y, x), by RoIAlign's rule."""
    y0, y1, dy, y_live = clamped_axis(y, height)
    x0, x1, dx, x_live = clamped_axis(x, width)
    live = (y_live & x_live).to(dy.dtype)
    return corners((y0, y1), (x0, x1), dy, dx, (live,) * 4, width)


def padded_bags(y, x, height, width):
    """Cells (..., 4) and weights (..., 4) of samples at (y, x) of maps with zeros around.

    Height and width may be tensors. A sample a whole cell outside has no gradient either.
    """
    inside = (y > -1) & (x > -1) & (y < height) & (x < width)
    y, x = torch.where(inside, y, -2), torch.where(inside, x, -2)
    y0, x0 = y.detach().floor(), x.detach().floor()
    dy, dx, y0, x0 = y - y0, x - x0, y0.long(), x0.long()
    rows = [((c >= 0) & (c < height), clip(c, height)) for c in (y0, y0 + 1)]
    columns = [((c >= 0) & (c < width), clip(c, width)) for c in (x0, x0 + 1)]
    live = [(v & h).to(dy.dtype) for v, _ in rows for h, _ in columns]
    return corners([r for _, r in rows], [c for _, c in columns], dy, dx, live, width)


def clip(index, length):
    """Indices moved into an axis, whose length may be a tensor."""
    return torch.minimum(index.clamp(min=0), torch.as_tensor(length - 1, device=index.device))


def corners(rows, columns, dy, dx, live, width):
    """Cells and weights of the four corners around samples; one that is not live weighs nothing."""
    index = [row * width + column for row in rows for column in columns]
    weight = [v * h for v in (1 - dy, dy) for h in (1 - dx, dx)]
    weight = [w * alive for w, alive in zip(weight, live, strict=True)]
    return torch.stack(index, -1), torch.stack(weight, -1)


def sum_bags(table, index, weight):
    """(N, C): the sums of rows of a table (R, C) with indices and weights (N, bag)."""
    if not index.numel():
        return table[:0].sum(0, keepdim=True).expand(len(index), -1)
    weight = weight.to(table.dtype)
    return F.embedding_bag(index, table, per_sample_weights=weight.contiguous(), mode='sum')


def gradients(function, tensors, grad_output):
    """Gradients of a function of tensors, zero where it does not depend on one."""
    with torch.enable_grad():
        leaves = [tensor.detach().requires_grad_() for tensor in tensors]
        output = function(*leaves)
    found = torch.autograd.grad(
        output, leaves, grad_output.to(output.dtype), allow_unused=True, materialize_grads=True
    )
    return list(found)


def add_gradients(function, tensors, grad_output, targets):
    """Add the gradients of a function to the tensors that mmcv made for them."""
    for target, gradient in zip(targets, gradients(function, tensors, grad_output), strict=True):
        target.add_(gradient)
