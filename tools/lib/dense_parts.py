"""The part of a detector or segmenter that is the same computation for every image.

What follows depends on what is found: choosing boxes, nms, features and masks of regions.
"""

import inspect

import torch
from torch import nn

from lib.whole.picture import multiples, needed_divisor, pad_to, padding_of

# The heads of models, the first that one has counts: name -> what only a dense one has.
HEADS = {'decode_head': 'cls_seg', 'rpn_head': 'prior_generator', 'bbox_head': 'prior_generator'}


class DenseParts(nn.Module):
    """Images (B, C, H, W), normalised -> the raw outputs of a model's dense head, as a flat tuple.

    Of a segmenter these are its logits, of a detector what its head hands to `predict_by_feat`,
    level by level. Of a detector with two stages they are the levels of its neck, which the second
    stage reads, and the outputs of its rpn_head. A model without a dense head is a `TypeError`.
    """

    def __init__(self, model):
        super().__init__()
        self.model, self.stem = model.eval(), model.backbone.stem
        self.divisor, self.pad_value = padding_of(model.data_preprocessor)
        self.divisor = max(self.divisor, needed_divisor(model))
        names = [name for name in HEADS if getattr(model, name, None) is not None]
        if not names or not hasattr(getattr(model, names[0]), HEADS[names[0]]):
            raise TypeError(
                f'{type(model).__name__} has no dense head, and only such are exported whole; '
                f'export its backbone'
            )
        self.head = names[0]
        with torch.no_grad():
            self.output_names = list(self.outputs(torch.zeros(1, self.stem.in_channels, 64, 64)))

    def forward(self, image):
        return tuple(self.outputs(image).values())

    def outputs(self, image):
        """{name: tensor}; where there are several levels, names are numbered."""
        image = pad_to(image, multiples(image.shape[2:], self.divisor), self.pad_value)
        features, head = self.model.extract_feat(image), getattr(self.model, self.head)
        if self.head == 'decode_head':
            return {'logits': head(features)}
        kinds = inspect.signature(head.predict_by_feat).parameters
        outputs = dict(zip(kinds, head(features), strict=False))
        if self.head == 'rpn_head':
            outputs = {'features': features, **outputs}
        return {f'{kind}{i}': x for kind, levels in outputs.items() for i, x in enumerate(levels)}
