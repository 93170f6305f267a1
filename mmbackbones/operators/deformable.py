"""Attention and convolutions that sample where the network says.

A head of deformable attention sums a few weighted samples of all maps for each query: one bag of
cells. A deformable convolution samples a column for each output, then is a matrix product.

Deformable attention is of Zhu et al., https://arxiv.org/abs/2010.04159; deformable convolutions of
Dai et al., https://arxiv.org/abs/1703.06211, with masks https://arxiv.org/abs/1811.11168.
"""

import torch

from .graphs import traced
from .sampling import BUDGET, add_gradients, cells, padded_bags, precise, sum_bags


def attention_bags(shapes, starts, locations, batch, cells):
    """Cells and bilinear weights (B, Q, heads, levels, points, 4) in values (B, cells, heads)."""
    height, width = shapes.unbind(1)
    sides = torch.stack([width, height], 1)[:, None]
    x, y = (locations * sides - 0.5).unbind(-1)
    index, weight = padded_bags(y, x, height[:, None], width[:, None])
    heads = locations.shape[2]
    index = index + starts[:, None, None]
    index = index + (torch.arange(batch, device=index.device) * cells).view(-1, 1, 1, 1, 1, 1)
    head = torch.arange(heads, device=index.device).view(-1, 1, 1, 1)
    return index * heads + head, weight


def ms_deform_attn(value, locations, attention, shapes, starts):
    """Sums (B, Q, heads * C) of samples of values (B, cells, heads, C), weighed by attention."""
    value, locations, attention = precise(value, locations, attention)
    batch, count, heads, channels = value.shape
    index, weight = attention_bags(shapes, starts, locations, batch, count)
    weight = weight * attention[..., None]
    table = value.reshape(-1, channels)
    found = sum_bags(table, index.flatten(0, 2).flatten(1), weight.flatten(0, 2).flatten(1))
    return found.view(batch, -1, heads * channels)


def query_chunks(locations):
    """Slices of queries, so that no chunk has more samples than memory allows."""
    batch, count, *rest = locations.shape[:5]
    step = max(1, BUDGET // max(1, batch * rest[0] * rest[1] * rest[2] * 4))
    return [slice(i, i + step) for i in range(0, count, step)]


@traced
def ms_deform_attn_forward(
    value, value_spatial_shapes, value_level_start_index, sampling_locations, attention_weights,
    im2col_step,
):  # fmt: skip
    """The attention (B, Q, heads * C)."""
    geometry = value_spatial_shapes, value_level_start_index
    found = [
        ms_deform_attn(value, sampling_locations[:, i], attention_weights[:, i], *geometry)
        for i in query_chunks(sampling_locations)
    ]
    return torch.cat(found, 1).to(value.dtype) if found else value.flatten(2)[:, :0]


@traced
def ms_deform_attn_backward(
    value, value_spatial_shapes, value_level_start_index, sampling_locations, attention_weights,
    grad_output, grad_value, grad_sampling_loc, grad_attn_weight, im2col_step,
):  # fmt: skip
    """Add the gradients of values, locations and weights."""
    total = torch.zeros_like(precise(grad_value)[0])
    geometry = value_spatial_shapes, value_level_start_index
    for part in query_chunks(sampling_locations):
        add_gradients(
            lambda v, where, a: ms_deform_attn(v, where, a, *geometry),
            [value, sampling_locations[:, part], attention_weights[:, part]],
            grad_output[:, part],
            [total, grad_sampling_loc[:, part], grad_attn_weight[:, part]],
        )
    grad_value.add_(total)


def convolve(images, offset, mask, weight, stride, padding, dilation, groups):
    """A convolution (N, O, h, w) whose taps are moved by offsets and weighed by a mask.

    Offsets (N, deformable groups * taps * 2, h, w) come as pairs of y and x.
    """
    count, channels, height, width = images.shape
    kernel, (rows, columns) = weight.shape[2:], offset.shape[2:]
    offset = offset.unflatten(1, (-1, kernel[0] * kernel[1], 2))
    parts, device = offset.shape[1], images.device
    ticks = [torch.arange(n, device=device) for n in (*kernel, rows, columns)]
    down = (ticks[0] * dilation[0])[:, None].expand(kernel).reshape(-1, 1, 1) - padding[0]
    right = (ticks[1] * dilation[1]).expand(kernel).reshape(-1, 1, 1) - padding[1]
    y = (down + ticks[2][:, None] * stride[0]) + offset[:, :, :, 0]
    x = (right + ticks[3] * stride[1]) + offset[:, :, :, 1]
    # (N, h, w, taps, deformable groups, 4), so that the sums are rows for a matrix product.
    index, share = (t.permute(0, 3, 4, 2, 1, 5) for t in padded_bags(y, x, height, width))
    if mask is not None:
        share = share * mask.unflatten(1, (parts, -1)).permute(0, 3, 4, 2, 1)[..., None]
    image = torch.arange(count, device=device).view(-1, 1, 1, 1, 1, 1) * (height * width)
    index = (index + image) * parts + torch.arange(parts, device=device)[:, None]
    table = cells(images).reshape(-1, channels // parts)
    taken = sum_bags(table, index.flatten(0, 4), share.flatten(0, 4))
    taken = taken.view(count * rows * columns, -1, groups, channels // groups)
    kernels = weight.flatten(2).unflatten(0, (groups, -1))  # (groups, O / groups, C / groups, taps)
    if groups == 1:
        found = taken.flatten(1) @ kernels[0].permute(2, 1, 0).flatten(0, 1)
    else:
        found = torch.einsum('ntgc,goct->ngo', taken, kernels)
    return found.reshape(count, rows, columns, -1).permute(0, 3, 1, 2)


def steps(images):
    """Slices of one image each, as mmcv goes: all samples of a batch would need much memory."""
    return [slice(i, i + 1) for i in range(len(images))]


def geometry(options):
    """Stride, padding, dilation and groups of mmcv's names for a convolution without a mask."""
    pairs = [(options[f'{name}H'], options[f'{name}W']) for name in ('d', 'pad', 'dilation')]
    return *pairs, options['group']


def masked_geometry(options):
    """Stride, padding, dilation and groups of mmcv's names for a convolution with a mask."""
    pairs = [(options[f'{name}_h'], options[f'{name}_w']) for name in ('stride', 'pad', 'dilation')]
    return *pairs, options['group']


@traced
def deform_conv_forward(input, weight, offset, output, columns, ones, **options):
    """Write a deformable convolution."""
    images, kernels, moved = precise(input, weight, offset)
    for part in steps(images):
        found = convolve(images[part], moved[part], None, kernels, *geometry(options))
        output[part] = found


@traced
def deform_conv_backward_input(
    input, offset, grad_output, grad_input, grad_offset, weight, columns, **options
):
    """Add the gradients of the images and the offsets."""
    images, kernels, moved = precise(input, weight, offset)
    for part in steps(images):
        add_gradients(
            lambda x, o: convolve(x, o, None, kernels, *geometry(options)),
            [images[part], moved[part]], grad_output[part], [grad_input[part], grad_offset[part]],
        )  # fmt: skip


@traced
def deform_conv_backward_parameters(
    input, offset, grad_output, grad_weight, columns, ones, scale=1, **options
):
    """Add the gradient of the kernels."""
    images, moved, kernels = precise(input, offset, grad_weight)
    total = torch.zeros_like(kernels)
    for part in steps(images):
        add_gradients(
            lambda w, part=part: convolve(images[part], moved[part], None, w, *geometry(options)),
            [kernels], grad_output[part], [total],
        )  # fmt: skip
    grad_weight.add_(total * scale)


@traced
def modulated_deform_conv_forward(
    input, weight, bias, ones, offset, mask, output, columns, with_bias, **options
):
    """Write a deformable convolution with a mask."""
    images, kernels, moved, share = precise(input, weight, offset, mask)
    for part in steps(images):
        found = convolve(images[part], moved[part], share[part], kernels, *masked_geometry(options))
        output[part] = found + bias[:, None, None] if with_bias else found


@traced
def modulated_deform_conv_backward(
    input, weight, bias, ones, offset, mask, columns, grad_input, grad_weight, grad_bias,
    grad_offset, grad_mask, grad_output, with_bias, **options,
):  # fmt: skip
    """Add the gradients of images, kernels, bias, offsets and mask."""
    images, kernels, moved, share = precise(input, weight, offset, mask)
    total = torch.zeros_like(kernels)
    for part in steps(images):
        add_gradients(
            lambda x, o, m, w: convolve(x, o, m, w, *masked_geometry(options)),
            [images[part], moved[part], share[part], kernels], grad_output[part],
            [grad_input[part], grad_offset[part], grad_mask[part], total],
        )  # fmt: skip
    grad_weight.add_(total)
    if with_bias:
        grad_bias.add_(grad_output.sum((0, 2, 3)))
