"""A detector or segmenter as far as it is one computation for every image.

What follows depends on what is found: choosing boxes, suppressing doubles, masks of regions.
"""

import inspect
from pathlib import Path

import torch
from torch import nn

from lib.arguments import check_scope, read_model
from lib.flops import build
from mmbackbones import CheckpointError, load_checkpoint


class DenseParts(nn.Module):
    """Images (B, C, H, W), normalised -> the raw outputs of a model's dense heads, as a flat tuple.

    Segmenters give logits; detectors what their head hands to `predict_by_feat`, level by level;
    detectors of two stages the levels of the neck, for the second stage, and the same of the first.
    A model without a dense head is a `TypeError`.
    """

    def __init__(self, model):
        super().__init__()
        self.model, self.output_names = model, None
        self.stem = model.backbone.stem
        names = ('decode_head', 'rpn_head', 'bbox_head')
        self.head = next((n for n in names if getattr(model, n, None) is not None), None)
        dense = self.head == 'decode_head' or hasattr(self.part(), 'anchor_generator')
        dense = dense or hasattr(self.part(), 'prior_generator')
        if self.head is None or not dense or hasattr(model, 'encoder'):
            raise TypeError(
                f'{type(model).__name__} has no dense head, and only such are exported whole; '
                f'export its backbone'
            )

    def part(self):
        """The head."""
        return getattr(self.model, self.head or '', None)

    def forward(self, image):
        features = self.model.extract_feat(image)
        outputs = self.part()(features)
        if self.head == 'decode_head':
            return self.named({'logits': outputs})
        arguments = list(inspect.signature(self.part().predict_by_feat).parameters)
        named = dict(zip(arguments, outputs, strict=False))
        return self.named({'features': features, **named} if self.head == 'rpn_head' else named)

    def named(self, outputs):
        """{name: tensor, or one per level} -> all tensors; keeps their names."""
        flat = {}
        for name, values in outputs.items():
            levels = [values] if isinstance(values, torch.Tensor) else values
            for i, level in enumerate(levels):
                flat[name if level is values else f'{name}{i}'] = level
        self.output_names = list(flat)
        return tuple(flat.values())


def build_dense(path, parser, weights=None, options=()):
    """The `DenseParts` of a config's model; an exit with one sentence if there are none."""
    if not Path(path).is_file():
        parser.error(f'--whole needs a config file, and {path} is none')
    cfg = read_model(path, parser, options)
    check_scope(cfg, path, parser)
    try:
        model = build(cfg)
        if weights:
            load_checkpoint(model, weights)
        return DenseParts(model).eval().requires_grad_(False)
    except (TypeError, ValueError, KeyError, OSError, CheckpointError) as error:
        return parser.error(str(error))
