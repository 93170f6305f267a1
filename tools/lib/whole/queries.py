"""Detectors whose queries find boxes: DETR, Conditional and DAB-DETR, Deformable DETR and DINO.

mm's own transformers, heads and decoding of boxes are traced. What is written anew reads the sizes
of maps from tensors there: the inputs of the encoder and, in Deformable DETR and DINO, the points
where its queries look and the boxes that it proposes.
"""

from contextlib import ExitStack

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from .deformable import (
    centres,
    exportable_attention,
    number,
    replaced,
    sine_positions,
    tokens,
    valid_cells,
)
from .picture import Picture


class AtMost(TorchFunctionMode):
    """Makes topk of fewer numbers than asked for repeat the last one, where mm fails.

    Maps of a tiny picture have fewer cells than DINO has queries.
    """

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        if func not in (torch.topk, torch.Tensor.topk):
            return func(*args, **kwargs)
        numbers, *rest = args
        names = dict(zip(('k', 'dim', 'largest', 'sorted'), rest, strict=False), **kwargs)
        dim = names.get('dim', -1)
        count = numbers.shape[dim]
        if isinstance(count, int) and count >= names['k']:
            return func(*args, **kwargs)
        shape = list(numbers.shape)
        shape[dim] = names['k']
        none = torch.full(shape, float('-inf'), dtype=numbers.dtype)
        values, indices = func(torch.cat([numbers, none], dim), **names)
        return values, indices.clamp(max=count - 1)


class QueryDetector(nn.Module):
    """A picture -> boxes, scores and labels, by DETR, Conditional DETR or DAB-DETR."""

    task = 'detection'
    output_names = ('boxes', 'scores', 'labels')

    def __init__(self, model, gather=False):
        super().__init__()
        self.model, self.gather = model, gather
        self.picture = Picture(model)
        self.padded = model.data_preprocessor.pad_size_divisor > 1

    def forward(self, image):
        """(n, 4), (n,), (n,) of a picture (H, W, 3)."""
        size = image.shape[:2]
        x = self.picture(image)
        with AtMost(), self.exportable(x.shape[2:], size):
            found = self.model.forward_transformer(self.model.extract_feat(x))
            outputs = self.model.bbox_head(**found)
        boxes, scores, labels = self.decode(*outputs, size)
        return boxes, scores, labels

    def decode(self, classes, boxes, size):
        """mm's own choice of boxes; scores of the last layer of the decoder count."""
        meta = dict(img_shape=size)
        (found,) = self.model.bbox_head.predict_by_feat(classes, boxes, [meta], rescale=False)
        return found.bboxes, found.scores, found.labels

    def exportable(self, sides, size):
        """The context in which the model takes sizes as numbers."""

        def inputs(features, *_):
            return self.inputs(features, sides, size)

        return replaced(self.model, pre_transformer=inputs)

    def inputs(self, features, sides, size):
        """What the encoder and the decoder are given: `pre_transformer` of mm."""
        feature = features[-1]
        valid = self.valid(feature, sides, size)
        positions = tokens([sine_positions(self.model.positional_encoding, *feature.shape[2:], *valid)])
        mask = self.mask(feature, valid)
        encoder = dict(feat=tokens([feature]), feat_mask=mask, feat_pos=positions)
        return encoder, dict(memory_mask=mask, memory_pos=positions)

    def valid(self, feature, sides, size):
        """How many rows and columns of a map lie in the picture, or none if all of them do."""
        if not self.padded:
            return ()
        shapes = zip(feature.shape[2:], sides, size, strict=True)
        return tuple(valid_cells(*shape) for shape in shapes)

    def mask(self, feature, valid):
        """(1, cells): which cells of a map are padding; None if there are none."""
        if not valid:
            return None
        rows, columns = feature.shape[2:]
        below = torch.arange(rows) >= valid[0]
        beside = torch.arange(columns) >= valid[1]
        return (below[:, None] | beside).flatten()[None]


class DeformableQueryDetector(QueryDetector):
    """A picture -> boxes, scores and labels, by Deformable DETR or DINO."""

    def exportable(self, sides, size):
        """The context in which the model takes sizes as numbers."""
        model, stack = self.model, ExitStack()
        stack.enter_context(super().exportable(sides, size))
        stack.enter_context(exportable_attention(model, self.gather))
        points = replaced(model.encoder, get_encoder_reference_points=self.points)
        stack.enter_context(points)
        stack.enter_context(replaced(model, gen_encoder_output_proposals=self.proposals))
        return stack

    def inputs(self, features, sides, size):
        """What the encoder and the decoder are given: `pre_transformer` of mm."""
        model = self.model
        valid = [self.valid(feature, sides, size) for feature in features]
        positions = [
            sine_positions(model.positional_encoding, *feature.shape[2:], *cells)
            + embedding[:, None, None]
            for feature, cells, embedding in zip(features, valid, model.level_embed, strict=True)
        ]
        masks = [self.mask(feature, cells) for feature, cells in zip(features, valid, strict=True)]
        mask = torch.cat(masks, 1) if self.padded else None
        shapes = [tuple(feature.shape[2:]) for feature in features]
        ratios = torch.ones(1, len(features), 2)
        if self.padded:
            ratios = torch.stack([
                torch.stack([width / number(w), height / number(h)])
                for (h, w), (height, width) in zip(shapes, valid, strict=True)
            ])[None]
        self.maps = [(*shape, *cells) for shape, cells in zip(shapes, valid, strict=True)]
        common = dict(spatial_shapes=shapes, level_start_index=None, valid_ratios=ratios)
        encoder = dict(feat=tokens(features), feat_mask=mask, feat_pos=tokens(positions), **common)
        return encoder, dict(memory_mask=mask, **common)

    def points(self, shapes, ratios, device):
        """(1, cells, levels, 2): where the queries of the encoder look in every map."""
        found = torch.cat([centres(*cells) for cells in self.maps])
        return found[None, :, None] * ratios[:, None]

    def proposals(self, memory, mask, shapes):
        """What each cell remembers, and the logits of a box around it, infinite at the border."""
        boxes = []
        for level, cells in enumerate(self.maps):
            centre = centres(*cells)
            boxes.append(torch.cat([centre, torch.full_like(centre, 0.05 * 2.0**level)], 1))
        boxes = torch.cat(boxes)[None]
        outside = ~((boxes > 0.01) & (boxes < 0.99)).all(-1, keepdim=True)
        if mask is not None:
            outside = outside | mask[..., None]
        logits = torch.log(boxes / (1 - boxes)).masked_fill(outside, float('inf'))
        memory = self.model.memory_trans_fc(memory.masked_fill(outside, 0.0))
        return self.model.memory_trans_norm(memory), logits
