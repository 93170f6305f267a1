"""Operators that look at a window around each cell, or put cells in another order.

CARAFE (Wang et al., https://arxiv.org/abs/1905.02188) weighs a window anew for each cell of a
larger map; PSANet (Zhao et al., ECCV 2018) lays the windows of all cells over the map; a masked
convolution (https://arxiv.org/abs/1901.03278) computes some cells only; active rotating filters
are turned copies of filters (https://arxiv.org/abs/1701.01833).
"""

import torch
import torch.nn.functional as F

from .graphs import traced
from .sampling import add_gradients, precise


def carafe(features, masks, kernel_size, group_size, scale_factor):
    """A larger map: masks (B, groups * k * k, H, W) weigh windows of features (B, C, h, w)."""
    features, masks = precise(features, masks)
    windows = F.unfold(features, kernel_size, padding=(kernel_size - 1) // 2)
    windows = windows.unflatten(1, (group_size, -1, kernel_size**2))
    windows = windows.unflatten(4, features.shape[2:])
    masks = masks.unflatten(1, (group_size, -1)).unflatten(4, (-1, scale_factor))
    masks = masks.unflatten(3, (-1, scale_factor))  # (B, groups, k * k, h, s, w, s)
    found = torch.einsum('bgckhw,bgkhiwj->bgchiwj', windows, masks)
    return found.flatten(5, 6).flatten(3, 4).flatten(1, 2)


@traced
def carafe_naive_forward(features, masks, output, **options):
    """Write what `carafe` gives, image by image."""
    for i in range(len(features)):
        output[i : i + 1] = carafe(features[i : i + 1], masks[i : i + 1], **options)


@traced
def carafe_naive_backward(grad_output, features, masks, grad_input, grad_masks, **options):
    """Add the gradients of the features and the masks, image by image."""
    for i in range(len(features)):
        one = slice(i, i + 1)
        add_gradients(
            lambda f, m: carafe(f, m, **options),
            [features[one], masks[one]], grad_output[one], [grad_input[one], grad_masks[one]],
        )  # fmt: skip


@traced
def carafe_forward(features, masks, rfeatures, routput, rmasks, output, **options):
    """Write what `carafe` gives, and keep the features for the backward pass."""
    rfeatures.copy_(features.reshape(rfeatures.shape))
    carafe_naive_forward(features, masks, output, **options)


@traced
def carafe_backward(
    grad_output, rfeatures, masks, rgrad_output, rgrad_input_hs, rgrad_input, rgrad_masks,
    grad_input, grad_masks, **options,
):  # fmt: skip
    """Add the gradients of the features, which `carafe_forward` kept, and the masks."""
    features = rfeatures.view(grad_input.shape)
    carafe_naive_backward(grad_output, features, masks, grad_input, grad_masks, **options)


def window_places(h_feature, w_feature, h_mask, w_mask, half_h_mask, half_w_mask, device):
    """For each cell of a map and each around which a window lies (H * W, H, W): where in it."""
    ticks = [torch.arange(n, device=device) for n in (h_feature, w_feature)]
    down = ticks[0][:, None] - ticks[0] + half_h_mask  # (cell, centre)
    right = ticks[1][:, None] - ticks[1] + half_w_mask
    down, right = down[:, None, :, None], right[None, :, None, :]
    inside = (down >= 0) & (down < h_mask) & (right >= 0) & (right < w_mask)
    place = torch.where(inside, down * w_mask + right, 0)
    return place.flatten(0, 1), inside.flatten(0, 1)


def psamask_forward(input, output, psa_type, num_, **sizes):
    """Lay the windows (B, mask, H, W) of cells over maps (B, H * W, H, W).

    Type 0 collects what a cell gets from the others, type 1 what it gives to them.
    """
    place, inside = window_places(**sizes, device=input.device)
    found = torch.where(inside, input.gather(1, place.expand(num_, -1, -1, -1)), 0)
    output.copy_(found if psa_type == 0 else turn_around(found))


def psamask_backward(grad_output, grad_input, psa_type, num_, **sizes):
    """Add the gradients of the windows."""
    place, inside = window_places(**sizes, device=grad_output.device)
    grad = grad_output if psa_type == 0 else turn_around(grad_output)
    grad = torch.where(inside, grad, 0)
    grad_input.scatter_add_(1, place.expand(num_, -1, -1, -1), grad)


def turn_around(maps):
    """Maps (B, H * W, H, W) with the cells and those that look at them exchanged."""
    return maps.flatten(2).mT.reshape(maps.shape)


def masked_im2col_forward(im, mask_h_idx, mask_w_idx, col, kernel_h, kernel_w, pad_h, pad_w):
    """Write the windows (C * taps, N) around some cells of an image (1, C, H, W)."""
    padded = F.pad(im[0], (pad_w, pad_w + kernel_w, pad_h, pad_h + kernel_h))
    y = mask_h_idx + torch.arange(kernel_h, device=im.device)[:, None, None]
    x = mask_w_idx + torch.arange(kernel_w, device=im.device)[:, None]
    col.copy_(padded[:, y, x].view_as(col))


def masked_col2im_forward(col, mask_h_idx, mask_w_idx, im, height, width, channels):
    """Write columns (C, N) into some cells of an image (1, C, height, width)."""
    im[0, :, mask_h_idx, mask_w_idx] = col.view(channels, -1)


def rotations(indices, entries):
    """Where each weight of a filter stands in each of its turned copies (rotations, entries)."""
    return indices.reshape(entries, -1).T.long() - 1


def active_rotated_filter_forward(input, indices, output):
    """Write turned copies of filters (O, I, orientations, k, k)."""
    flat = input.flatten(2)
    place = rotations(indices, flat.shape[2])
    turned = output.view(len(flat), len(place), flat.shape[1], -1)
    for i, index in enumerate(place):
        turned[:, i, :, index] = flat


def active_rotated_filter_backward(grad_out, indices, grad_in):
    """Write the gradients of the filters: those of their copies, turned back and added up."""
    flat = grad_in.flatten(2)
    place = rotations(indices, flat.shape[2])
    grad = grad_out.reshape(len(flat), len(place), flat.shape[1], -1)
    grad_in.copy_(sum(grad[:, i][..., index] for i, index in enumerate(place)).view_as(grad_in))
