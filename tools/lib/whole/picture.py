"""A picture on its way into a network, and its size, without branches on either."""

import torch
import torch.nn.functional as F
from torch import nn


class Picture(nn.Module):
    """Pictures in uint8 RGB as the data preprocessor of a model of mm gives them to the network."""

    def __init__(self, model):
        super().__init__()
        before = model.data_preprocessor
        is_turned = getattr(before, '_channel_conversion', False)
        self.channels = 'rgb' if is_turned else 'bgr'  # mm reads files as BGR
        scaled = getattr(before, '_enable_normalize', False)
        self.register_buffer('mean', before.mean.clone() if scaled else torch.zeros(3, 1, 1))
        self.register_buffer('std', before.std.clone() if scaled else torch.ones(3, 1, 1))
        in_tests = getattr(before, 'test_cfg', None) or {}  # of mmseg
        divisor = getattr(before, 'pad_size_divisor', in_tests.get('size_divisor'))
        self.size_divisor = divisor or 1
        self.pad_value = float(getattr(before, 'pad_value', getattr(before, 'pad_val', 0)))

    def forward(self, image):
        """(H, W, 3), or several, -> (N, 3, H', W'), normalised and padded."""
        images = image if image.dim() == 4 else image[None]
        images = images.permute(0, 3, 1, 2).float()
        if self.channels == 'bgr':
            images = images.flip(1)
        return pad_to_multiple((images - self.mean) / self.std, self.size_divisor, self.pad_value)


def pad_to_multiple(images, divisor, value=0.0):
    """Images (N, C, H, W) whose sides are multiples of a number."""
    height, width = images.shape[2:]
    down, right = (-(side % -divisor) for side in (height, width))
    return F.pad(images, (0, right, 0, down), value=value) if divisor > 1 else images


def number(size):
    """A size, which may be free, as a tensor of float32."""
    if isinstance(size, int):
        return torch.full((), size, dtype=torch.float32)
    return torch.scalar_tensor(size, dtype=torch.float32)


def sides(image):
    """Height and width of a picture (H, W, 3), or of several, as tensors of float32."""
    return tuple(number(size) for size in image.shape[-3:-1])
