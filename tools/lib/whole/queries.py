"""Detectors whose queries find boxes: DETR, Conditional and DAB-DETR, Deformable DETR and DINO.

mm's own transformers, heads and decoding of boxes are traced. What is written anew reads the sizes
of maps from tensors there: the inputs of the encoder and, in Deformable DETR and DINO, the points
where its queries look and the boxes that it proposes.
"""

from contextlib import ExitStack, contextmanager

import torch
from mmdet.models.dense_heads import (
    ConditionalDETRHead,
    DABDETRHead,
    DeformableDETRHead,
    DETRHead,
    DINOHead,
)
from mmdet.models.detectors import DABDETR, DETR, DINO, ConditionalDETR, DeformableDETR
from mmdet.models.detectors.base_detr import DetectionTransformer
from mmdet.models.layers import SinePositionalEncoding
from torch.overrides import TorchFunctionMode

from lib.whole import OF_ONE_IMAGE, Refused, WholeModel, check_methods
from lib.whole.deformable import (
    centres,
    exportable_attention,
    far_inside,
    replaced,
    sine_positions,
    tokens,
    valid_cells,
)
from lib.whole.picture import number

STEPS = 'pre_transformer forward_encoder pre_decoder forward_decoder forward_transformer'
KNOWN = DETR, ConditionalDETR, DABDETR, DeformableDETR, DINO
HEADS = DETRHead, ConditionalDETRHead, DABDETRHead, DeformableDETRHead, DINOHead


class TopKOfFew(TorchFunctionMode):
    """Lets topk of fewer numbers than asked for repeat the place of the last one, where mm fails.

    Maps of a tiny picture have fewer cells than DINO has queries.
    """

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func not in (torch.topk, torch.Tensor.topk):
            return func(*args, **(kwargs or {}))
        numbers, *rest = args
        options = dict(zip(('k', 'dim', 'largest', 'sorted'), rest, strict=False), **(kwargs or {}))
        axis = options.get('dim', -1)
        count = numbers.shape[axis]
        if isinstance(count, int) and count >= options['k']:
            return func(numbers, **options)
        shape = list(numbers.shape)
        shape[axis] = options['k']
        lowest = torch.full(shape, float('-inf'), dtype=numbers.dtype)
        values, places = func(torch.cat([numbers, lowest], axis), **options)
        return values, places.clamp(max=count - 1)


class QueryDetector(WholeModel):
    """A detector whose queries look at one map: DETR, Conditional DETR or DAB-DETR."""

    takes_several = True

    def __init__(self, model, settings):
        super().__init__(model, settings)
        check_methods([model], f'predict extract_feat {STEPS}', *KNOWN, DetectionTransformer)
        check_methods([model.bbox_head], f'forward predict_by_feat {OF_ONE_IMAGE}', *HEADS)
        if type(model.positional_encoding) is not SinePositionalEncoding:
            kind = type(model.positional_encoding).__name__
            raise Refused(f'{type(model).__name__} has positions of {kind}, not known here')
        self.padded = self.picture.size_divisor > 1

    def forward(self, image):
        size, images = image.shape[-3:-1], self.picture(image)
        features = self.features(images)
        with TopKOfFew(), self.exportable(images.shape[2:], size):
            outputs = self.model.bbox_head(**self.model.forward_transformer(features))
        metas = [dict(img_shape=size)] * len(features[0])
        found = self.model.bbox_head.predict_by_feat(*outputs, metas, rescale=False)
        outputs = [[f.bboxes for f in found], [f.scores for f in found], [f.labels for f in found]]
        return tuple(torch.stack(x) if image.dim() == 4 else x[0] for x in outputs)

    @contextmanager
    def exportable(self, sides, size):
        """The model takes the sides of what the network gets, and of the picture, as numbers."""

        def inputs(features, *_):
            return self.inputs(features, [self.valid(f.shape[2:], sides, size) for f in features])

        with replaced(self.model, pre_transformer=inputs):
            yield

    def valid(self, shape, sides, size):
        """How many rows and columns of a map lie in the picture; none where nothing is padded."""
        cells = zip(shape, sides, size, strict=True)
        return [valid_cells(*axis) for axis in cells] if self.padded else []

    def inputs(self, features, valid):
        """What the encoder and the decoder are given: mm's `pre_transformer`."""
        feature, valid = features[-1], valid[-1]
        positions = self.positions(feature, valid)
        mask = padding_mask(feature, valid) if self.padded else None
        encoder = dict(feat=tokens([feature]), feat_mask=mask, feat_pos=tokens([positions]))
        return encoder, dict(memory_mask=mask, memory_pos=tokens([positions]))

    def positions(self, feature, valid):
        """(B, C, H, W): where each cell of a map lies."""
        found = sine_positions(self.model.positional_encoding, *feature.shape[2:], *valid)
        return found.expand(len(feature), -1, -1, -1)


def padding_mask(feature, valid):
    """(B, H * W): which cells of a map (B, C, H, W) lie beyond its valid rows and columns."""
    below, right = (torch.arange(n) >= v for n, v in zip(feature.shape[2:], valid, strict=True))
    return (below[:, None] | right).flatten().expand(len(feature), -1)


class DeformableQueryDetector(QueryDetector):
    """A detector whose queries look at a few points of several maps: Deformable DETR or DINO."""

    @contextmanager
    def exportable(self, sides, size):
        model = self.model
        with ExitStack() as stack:
            stack.enter_context(super().exportable(sides, size))
            stack.enter_context(exportable_attention(model, self.settings.get('gather')))
            stack.enter_context(replaced(model, gen_encoder_output_proposals=self.proposals))
            points = replaced(model.encoder, get_encoder_reference_points=self.points)
            stack.enter_context(points)
            yield

    def inputs(self, features, valid):
        model, shapes = self.model, [tuple(feature.shape[2:]) for feature in features]
        maps = list(zip(features, valid, strict=True))
        positions = [
            self.positions(*pair) + embedding[:, None, None]
            for pair, embedding in zip(maps, model.level_embed, strict=True)
        ]
        mask = torch.cat([padding_mask(*pair) for pair in maps], 1) if self.padded else None
        ratios = torch.ones(len(features[0]), len(features), 2)
        if self.padded:
            sides = zip(shapes, valid, strict=True)
            ratios = [
                torch.stack([right / number(w), down / number(h)])
                for (h, w), (down, right) in sides
            ]
            ratios = torch.stack(ratios).expand(len(features[0]), -1, -1)
        self.cells = [(*shape, *v) for shape, v in zip(shapes, valid, strict=True)]
        common = dict(spatial_shapes=shapes, level_start_index=None, valid_ratios=ratios)
        encoder = dict(feat=tokens(features), feat_mask=mask, feat_pos=tokens(positions), **common)
        return encoder, dict(memory_mask=mask, **common)

    def points(self, shapes, ratios, device):
        """(B, cells, levels, 2): where the queries of the encoder look in every map."""
        found = torch.cat([centres(*cells) for cells in self.cells])
        return found[:, None] * ratios[:, None]

    def proposals(self, memory, mask, shapes):
        """What each cell remembers, and the logits of a box around it, infinite at the border."""
        boxes, inside = [], []
        for level, cells in enumerate(self.cells):
            centre, side = centres(*cells), 0.05 * 2.0**level
            boxes.append(torch.cat([centre, torch.full_like(centre, side)], 1))
            inside.append(far_inside(*cells) & (side < 0.99))
        boxes = torch.cat(boxes)[None]
        outside = ~torch.cat(inside)[None, :, None]
        if mask is not None:
            outside = outside | mask[..., None]
        logits = torch.log(boxes / (1 - boxes)).masked_fill(outside, float('inf'))
        memory = self.model.memory_trans_fc(memory.masked_fill(outside, 0.0))
        return self.model.memory_trans_norm(memory), logits.expand(len(memory), -1, -1)
