"""Segmenters of mmseg: UPerNet and every other `EncoderDecoder`, Mask2Former with mask queries."""

from contextlib import ExitStack

import torch
import torch.nn.functional as F
from mmdet.models.dense_heads import MaskFormerHead
from mmseg.models import EncoderDecoder

from lib.whole import Refused, WholeModel, check_methods
from lib.whole.mask_queries import check_masks, exportable_masks


class Sizes(tuple):
    """Sizes in what mm is told of a picture, which it copies: numbers of a graph have no copies."""

    __slots__ = ()

    def __deepcopy__(self, memo):
        return self


class Segmenter(WholeModel):
    """A segmenter of mmseg: the class of each pixel, with --scores also the scores of all."""

    task, output_names = 'semantic', ('classes',)
    takes_several = True

    def __init__(self, model, settings):
        super().__init__(model, settings)
        inference = f'{model.test_cfg.get("mode", "whole")}_inference'
        check_methods([model], f'predict inference {inference} postprocess_result', EncoderDecoder)
        least = (getattr(model.data_preprocessor, 'test_cfg', None) or {}).get('size') or (0, 0)
        given = settings.get('size') or (0, 0)
        if any(side < smallest for side, smallest in zip(given, least, strict=True)):
            raise Refused(
                f'the config pads pictures to one size in tests, {tuple(least)}, which files do '
                f'not do; take size_divisor in data_preprocessor.test_cfg, or a --size as large'
            )
        if model.num_classes > 256:
            raise Refused(
                f'{model.num_classes} classes are more than the 256 that a map of bytes has'
            )
        self.query_heads = [m for m in model.modules() if isinstance(m, MaskFormerHead)]
        for head in self.query_heads:
            check_masks(head)
        if settings.get('scores'):
            self.output_names = ('classes', 'scores')

    def forward(self, image):
        height, width = image.shape[-3:-1]
        x = self.picture(image)
        with ExitStack() as stack:
            for head in self.query_heads:
                stack.enter_context(exportable_masks(head, self.settings.get('gather')))
            scores = self.scores(x)
        if self.picture.size_divisor > 1:
            scores = scores[:, :, :height, :width]
        classes, scores = self.decide(scores)
        found = (classes, scores) if 'scores' in self.output_names else (classes,)
        return found if image.dim() == 4 else tuple(x[0] for x in found)

    def scores(self, images):
        """The scores (N, C, H, W) of prepared pictures."""
        meta = dict.fromkeys(('img_shape', 'pad_shape', 'ori_shape'), Sizes(images.shape[2:]))
        return self.model.encode_decode(images, [meta] * len(images))

    def decide(self, scores):
        """The classes (N, H, W), and scores as mm gives them: the best counts, or a threshold."""
        if scores.shape[1] > 1:
            return scores.argmax(1).to(torch.uint8), scores
        scores = scores.sigmoid()
        return (scores[:, 0] > self.model.decode_head.threshold).to(torch.uint8), scores


class SlidingSegmenter(Segmenter):
    """A segmenter that is tested in windows: all go through the network together."""

    def __init__(self, model, settings):
        super().__init__(model, settings)
        if not settings.get('size'):
            raise Refused(
                "the config tests in mode 'slide', and how many windows a picture has depends on "
                'its size: give --size, or add --cfg-options model.test_cfg.mode=whole'
            )

    def scores(self, images):
        """The scores of windows, averaged where these overlap."""
        height, width = images.shape[2:]
        windows = self.windows(height, width)
        crops = torch.cat([images[:, :, y0:y1, x0:x1] for y0, y1, x0, x1 in windows])
        total, count = 0, images.new_zeros(height, width)
        parts = super().scores(crops).split(len(images))
        for part, (top, bottom, left, right) in zip(parts, windows, strict=True):
            total = total + F.pad(part, (left, width - right, top, height - bottom))
            count[top:bottom, left:right] += 1
        return total / count

    def windows(self, height, width):
        """(top, bottom, left, right) of each window of a picture."""
        (crop_height, crop_width), (down, right) = (
            self.model.test_cfg.crop_size,
            self.model.test_cfg.stride,
        )
        rows, columns = spans(height, crop_height, down), spans(width, crop_width, right)
        return [(*row, *column) for row in rows for column in columns]


def spans(side, crop, step):
    """(start, end) of the windows along a side; the last one ends with the side."""
    count = max(side - crop + step - 1, 0) // step + 1
    ends = [min(i * step + crop, side) for i in range(count)]
    return [(max(end - crop, 0), end) for end in ends]


MODES = dict(whole=Segmenter, slide=SlidingSegmenter)


def segmenter(model, settings):
    """What stands for a segmenter, by the mode that its config tests in."""
    mode = model.test_cfg.get('mode', 'whole')
    if mode not in MODES:
        raise Refused(f'the config tests in mode {mode!r}; mmseg knows {" and ".join(MODES)}')
    return MODES[mode](model, settings)
