"""Batch norm over processes, step by step, and two operators of StyleGAN 2.

MMSyncBN adds up what `sync_bn_*` compute over its processes; all numbers are float32. The others
are of Karras et al., https://arxiv.org/abs/1912.04958.
"""

import torch
import torch.nn.functional as F


def sync_bn_forward_mean(input, mean):
    """Write the means (C,) of an input (N, C, cells)."""
    mean.copy_(input.float().mean((0, 2)))


def sync_bn_forward_var(input, mean, var):
    """Write the variances (C,) around given means."""
    var.copy_((input.float() - mean[:, None]).square().mean((0, 2)))


def sync_bn_forward_output(
    input, mean, var, weight, bias, running_mean, running_var, norm, std, output, eps, momentum,
    group_size,
):  # fmt: skip
    """Write the normalised input, its standard deviations and the running statistics."""
    deviation = (var + eps).sqrt()
    normed = (input.float() - mean[:, None]) / deviation[:, None]
    output.copy_(normed * weight[:, None] + bias[:, None] if weight.numel() else normed)
    if norm.numel():
        norm.copy_(normed)
    if std.numel():
        std.copy_(deviation)
    if running_mean.numel():
        count = input.numel() // input.shape[1] * group_size
        unbiased = var * count / (count - 1) if count > 1 else var
        running_mean.mul_(1 - momentum).add_(momentum * mean)
        running_var.mul_(1 - momentum).add_(momentum * unbiased)


def sync_bn_backward_param(grad_output, norm, grad_weight, grad_bias):
    """Write the gradients (C,) of weight and bias."""
    grad = grad_output.float()
    grad_weight.copy_((grad * norm).sum((0, 2)))
    grad_bias.copy_(grad.sum((0, 2)))


def sync_bn_backward_data(grad_output, weight, grad_weight, grad_bias, norm, std, grad_input):
    """Write the gradients of the input."""
    count = grad_output.numel() // grad_output.shape[1]
    common = (grad_weight[:, None] * norm + grad_bias[:, None]) / count
    grad_input.copy_((weight / std)[:, None] * (grad_output.float() - common))


def fused_bias_leakyrelu(input, bias, refer, act, grad, alpha, scale):
    """A scaled leaky ReLU (act 3) of input plus bias; with grad 1, its derivative at `refer`."""
    if act != 3 or grad not in (0, 1):
        raise ValueError(f'act {act} and grad {grad} are none that mmcv asks for: 3, and 0 or 1')
    if bias.numel():
        input = input + bias.view(-1, *[1] * (input.dim() - 2))
    return torch.where((refer if grad else input) > 0, input, input * alpha) * scale


def upfirdn2d(input, filter, upx, upy, downx, downy, padx0, padx1, pady0, pady1, flip_filter, gain):
    """Put zeros between pixels, pad, filter, and keep every `down`-th pixel."""
    count, channels, height, width = input.shape
    image = input.reshape(count * channels, 1, height, 1, width, 1)
    image = F.pad(image, (0, upx - 1, 0, 0, 0, upy - 1)).flatten(4).flatten(2, 3)
    image = F.pad(image, (padx0, padx1, pady0, pady1))
    kernel = (filter if flip_filter else filter.flip(0, 1)).to(input.dtype) * gain
    found = F.conv2d(image, kernel[None, None], stride=(downy, downx))
    return found.view(count, channels, *found.shape[2:])
