"""Segmenters of mmseg: UPerNet and every other `EncoderDecoder`, Mask2Former with mask queries."""

from contextlib import ExitStack

import torch
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
        check_methods(
            [model], 'predict inference whole_inference postprocess_result', EncoderDecoder
        )
        mode = model.test_cfg.get('mode', 'whole')
        if mode != 'whole':
            raise Refused(
                f'the config tests in mode {mode!r}, part by part, and a file takes the picture as '
                f'a whole; add --cfg-options model.test_cfg.mode=whole if that is what you want'
            )
        if (getattr(model.data_preprocessor, 'test_cfg', None) or {}).get('size'):
            raise Refused(
                'the config pads pictures to one size in tests, which files do not do; take '
                'size_divisor in data_preprocessor.test_cfg, or --size'
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
        meta = dict.fromkeys(('img_shape', 'pad_shape', 'ori_shape'), Sizes(x.shape[2:]))
        with ExitStack() as stack:
            for head in self.query_heads:
                stack.enter_context(exportable_masks(head, self.settings.get('gather')))
            scores = self.model.encode_decode(x, [meta] * len(x))
        if self.picture.size_divisor > 1:
            scores = scores[:, :, :height, :width]
        classes, scores = self.decide(scores)
        found = (classes, scores) if 'scores' in self.output_names else (classes,)
        return found if image.dim() == 4 else tuple(x[0] for x in found)

    def decide(self, scores):
        """The classes (N, H, W), and scores as mm gives them: the best counts, or a threshold."""
        if scores.shape[1] > 1:
            return scores.argmax(1).to(torch.uint8), scores
        scores = scores.sigmoid()
        return (scores[:, 0] > self.model.decode_head.threshold).to(torch.uint8), scores
