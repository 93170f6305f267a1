"""A picture on its way into a network, and its size, without branches on either."""

import torch
import torch.nn.functional as F
from torch import nn


class Picture(nn.Module):
    """Pictures in uint8 RGB as mm gives them to a network.

    Args:
        preprocessor: The data preprocessor of a model of mm.
        pad: A step `Pad` of the pipeline before it, if there is one.
        divisor: What sides must be multiples of, if the preprocessor does not see to it.
    """

    def __init__(self, preprocessor, pad=None, divisor=1):
        super().__init__()
        # If the attribute moves, files read pictures of models for RGB as BGR, which the comparison
        # with mm finds when they are written.
        names = '_channel_conversion', 'channel_conversion'  # the latter of OpenMMLab's mmseg
        is_turned = any(getattr(preprocessor, name, False) for name in names)
        self.channels = 'rgb' if is_turned else 'bgr'  # mm reads files as BGR
        scaled = hasattr(preprocessor, 'mean')
        self.register_buffer('mean', preprocessor.mean.clone() if scaled else torch.zeros(3, 1, 1))
        self.register_buffer('std', preprocessor.std.clone() if scaled else torch.ones(3, 1, 1))
        self.size_divisor, self.pad_value = padding_of(preprocessor)
        self.size_divisor = max(self.size_divisor, divisor)
        self.canvas, self.grey = None, 0.0
        if pad is not None and pad.size:
            self.canvas, self.grey = pad.size[::-1], grey_of(pad)

    def forward(self, image):
        """(H, W, 3), or several, -> (N, 3, H', W'), normalised and padded."""
        images = image if image.dim() == 4 else image[None]
        images = images.permute(0, 3, 1, 2).float()
        if self.channels == 'bgr':
            images = images.flip(1)
        if self.canvas:
            images = pad_to(images, self.padded(images.shape[2:]), self.grey)
        images = (images - self.mean) / self.std
        return pad_to(images, multiples(images.shape[2:], self.size_divisor), self.pad_value)

    def padded(self, size):
        """Height and width after the pipeline's padding."""
        if not self.canvas:
            return size
        larger = [torch.sym_max(*pair) for pair in zip(size, self.canvas, strict=True)]
        return multiples(larger, self.size_divisor)

    def sides(self, image):
        """Height and width of what mm takes for the picture, as tensors of float32."""
        return tuple(number(size) for size in self.padded(image.shape[-3:-1]))


def padding_of(preprocessor):
    """What sides become multiples of, and the value of the padding, in a network's numbers."""
    if hasattr(preprocessor, 'test_cfg'):  # of mmseg, which pads otherwise while it trains
        return (preprocessor.test_cfg or {}).get('size_divisor') or 1, float(preprocessor.pad_val)
    divisor = getattr(preprocessor, 'pad_size_divisor', 1)
    return divisor, float(getattr(preprocessor, 'pad_value', 0))


def grey_of(pad):
    """The value of a pipeline's padding, which has to be the same in all channels."""
    value = pad.pad_val.get('img', 0)
    values = set(value) if isinstance(value, list | tuple) else {value}
    if len(values) > 1:
        raise ValueError(f'pictures are padded with a colour, {value}, which is not known here')
    return float(values.pop())


def multiples(size, divisor):
    """The size rounded up to multiples of a number."""
    return [(side + divisor - 1) // divisor * divisor for side in size] if divisor > 1 else size


def pad_to(images, size, value):
    """Images (N, C, H, W) padded below and on the right."""
    down, right = (new - old for new, old in zip(size, images.shape[2:], strict=True))
    return F.pad(images, (0, right, 0, down), value=value)


def needed_divisor(model):
    """What sides must be multiples of so that backbone and neck run, which some do not say."""
    dtype = next(model.parameters()).dtype
    for divisor in (1, 32, 64, 128):
        side = divisor if divisor > 1 else 33
        try:
            with torch.no_grad():
                model.extract_feat(torch.zeros(1, 3, side, 3 * side, dtype=dtype))
        except RuntimeError:
            continue
        return divisor
    return 1


def number(size):
    """A size, which may be free, as a tensor of float32."""
    if isinstance(size, int):
        return torch.full((), size, dtype=torch.float32)
    return torch.scalar_tensor(size, dtype=torch.float32)
