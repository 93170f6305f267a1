"""Models whose queries find masks: Mask2Former and MaskFormer, of things or of whole pictures.

mm's own heads are traced; what is written anew reads the sizes of maps from tensors or branches on
what was found: the pixel decoder of Mask2Former, and the choice of masks.
"""

from contextlib import ExitStack, contextmanager
from functools import partial
from types import SimpleNamespace

import torch
import torch.nn.functional as F
from mmdet.evaluation import INSTANCE_OFFSET
from mmdet.models import MaskFormerFusionHead
from mmdet.models.dense_heads import Mask2FormerHead, MaskFormerHead
from mmdet.models.detectors import MaskFormer
from mmdet.models.layers import (
    MSDeformAttnPixelDecoder,
    PixelDecoder,
    SinePositionalEncoding,
    TransformerEncoderPixelDecoder,
)

from lib.whole import Refused, WholeModel, check_methods
from lib.whole.deformable import centres, exportable_attention, replaced, sine_positions, tokens

DECODERS = MSDeformAttnPixelDecoder, PixelDecoder, TransformerEncoderPixelDecoder


def check_masks(head):
    """Raise `Refused` if a head of mask queries has a part that this file does not know."""
    check_methods([head], 'forward', MaskFormerHead, Mask2FormerHead)
    check_methods([head.pixel_decoder], 'forward', *DECODERS)


@contextmanager
def exportable_masks(head, gather=False):
    """A head of mask queries takes the sizes of maps as numbers."""
    with ExitStack() as stack:
        stack.enter_context(exportable_attention(head, gather))
        for module in head.modules():
            if isinstance(module, SinePositionalEncoding):
                stack.enter_context(replaced(module, forward=partial(positions, module)))
        decoder = head.pixel_decoder
        if isinstance(decoder, MSDeformAttnPixelDecoder):
            stack.enter_context(replaced(decoder, forward=partial(decode_pixels, decoder)))
        yield


def positions(encoding, mask):
    """(B, C, H, W) for a mask (B, H, W) of what is padding below and on the right of pictures."""
    valid = [(~edge).sum(dtype=torch.float32) for edge in (mask[0, :, 0], mask[0, 0])]
    found = sine_positions(encoding, *mask.shape[1:], *valid)
    return found.expand(len(mask), -1, -1, -1)


def decode_pixels(decoder, features):
    """The features of masks, and maps that queries look at: `MSDeformAttnPixelDecoder.forward`."""
    maps = features[::-1][: decoder.num_encoder_levels]
    shapes = [tuple(feature.shape[2:]) for feature in maps]
    batch, levels = len(maps[0]), len(maps)
    places = [
        (sine_positions(decoder.postional_encoding, *shape) + embedding[:, None, None]).expand(
            batch, -1, -1, -1
        )
        for shape, embedding in zip(shapes, decoder.level_encoding.weight, strict=True)
    ]
    points = torch.cat([centres(*shape) for shape in shapes])
    memory = decoder.encoder(
        query=tokens([conv(x) for conv, x in zip(decoder.input_convs, maps, strict=True)]),
        query_pos=tokens(places),
        key_padding_mask=None,
        spatial_shapes=shapes,
        reference_points=points[None, :, None].expand(batch, -1, levels, -1),
        level_start_index=None,
        valid_ratios=torch.ones(batch, levels, 2),
    )
    parts = memory.split([height * width for height, width in shapes], 1)
    found = [p.transpose(1, 2).unflatten(2, shape) for p, shape in zip(parts, shapes, strict=True)]
    others = features[: len(features) - levels][::-1]
    for x, lateral, output in zip(
        others, decoder.lateral_convs[::-1], decoder.output_convs[::-1], strict=True
    ):
        x = lateral(x)
        above = F.interpolate(found[-1], size=x.shape[2:], mode='bilinear', align_corners=False)
        found.append(output(x + above))
    return decoder.mask_feature(found[-1]), found[: decoder.num_outs]


class MaskQueryModel(WholeModel):
    """What Mask2Former and MaskFormer have in common: queries, each with classes and a mask."""

    def __init__(self, model, settings):
        super().__init__(model, settings)
        self.head, self.fusion = model.panoptic_head, model.panoptic_fusion_head
        self.config = self.fusion.test_cfg
        check_methods([model], 'predict', MaskFormer)
        check_methods([self.head], 'predict', MaskFormerHead)
        check_methods(
            [self.fusion], 'predict panoptic_postprocess instance_postprocess', MaskFormerFusionHead
        )
        check_masks(self.head)

    def forward(self, image):
        size, x = image.shape[:2], self.picture(image)
        meta = dict(img_shape=size, batch_input_shape=x.shape[2:])
        with exportable_masks(self.head, self.settings.get('gather')):
            features = self.model.extract_feat(x)
            classes, masks = self.head(features, [SimpleNamespace(metainfo=meta)])
        return self.choose(classes[-1][0], masks[-1][0], x.shape[2:], size)

    def enlarge(self, masks, sides, size):
        """Masks (N, h, w) of features as masks (N, H, W) of the picture."""
        masks = F.interpolate(masks[None], size=sides, mode='bilinear', align_corners=False)[0]
        padded = self.picture.size_divisor > 1
        return masks[:, : size[0], : size[1]] if padded else masks


class InstanceMasks(MaskQueryModel):
    """The best pairs of a query and a class: boxes, scores, labels and masks of the picture."""

    task, masks = 'instance', 'image'
    output_names = ('boxes', 'scores', 'labels', 'masks')

    def choose(self, classes, masks, sides, size):
        """What `instance_postprocess` of mm chooses."""
        count = self.config.get('max_per_image', 100)
        scores, places = classes.softmax(-1)[:, :-1].flatten().topk(count)
        labels = places % self.fusion.num_classes
        masks = self.enlarge(masks[places // self.fusion.num_classes], sides, size)
        if self.fusion.num_stuff_classes:
            things = (labels < self.fusion.num_things_classes).nonzero()[:, 0]
            scores, labels, masks = scores[things], labels[things], masks[things]
        inside = masks > 0
        area = inside.float()
        sure = (masks.sigmoid() * area).flatten(1).sum(1) / (area.flatten(1).sum(1) + 1e-6)
        return boxes_around(area), scores * sure, labels, inside


class PanopticMasks(MaskQueryModel):
    """The segment of each pixel, as mm numbers them, and a table of segments."""

    task, masks = 'panoptic', 'none'
    output_names = ('panoptic', 'segments')

    def __init__(self, model, settings):
        super().__init__(model, settings)
        self.score_threshold = self.config.get('object_mask_thr', 0.8)

    def choose(self, classes, masks, sides, size):
        """What `panoptic_postprocess` of mm chooses; rows of the table are value, label, score."""
        scores, labels = classes.softmax(-1).max(-1)
        void = self.fusion.num_classes
        kept = ((labels != void) & (scores > self.score_threshold)).nonzero()[:, 0]
        # A last one loses every pixel to the others: there may be none of them.
        scores = F.pad(scores[kept], (0, 1))
        labels = F.pad(labels[kept], (0, 1), value=void)
        masks = torch.cat([masks[kept], torch.full_like(masks[:1], 100.0)])
        masks = self.enlarge(masks, sides, size)
        # mm takes scores * sigmoid(masks). Of two masks below -18 the nearer would not win, as
        # onnxruntime's sigmoid is one number there, in which F.logsigmoid is written as well.
        owner = (scores.log()[:, None, None] - F.softplus(-masks)).argmax(0)
        clear = masks >= 0
        areas = count_pixels(owner, torch.ones_like(owner, dtype=torch.float32), scores)
        share = areas / clear.float().flatten(1).sum(1)
        alive = (areas > 0) & (share >= self.config.get('iou_thr', 0.8)) & (share < float('inf'))
        alive = alive & (labels != void)
        things = labels < self.fusion.num_things_classes
        numbers = (alive & things).long().cumsum(0)
        values = labels + torch.where(things, numbers * INSTANCE_OFFSET, 0)
        values = torch.where(alive, values, void)
        found = values[owner]
        if self.config.get('filter_low_score', False):
            own = clear.gather(0, owner[None])[0]
            found = torch.where(own, found, void)
            areas = count_pixels(owner, own.float(), scores)
        return found.int(), self.table(values, labels, scores, areas, alive)

    def table(self, values, labels, scores, areas, alive):
        """A row for each segment on the map; what is stuff of one class is one segment."""
        alive = alive & (areas > 0)
        same = (values[:, None] == values) & alive[:, None] & alive
        count = values.shape[0]
        places = torch.arange(count)
        first = torch.where(same, places, count).amin(1) == places
        best = torch.where(same, scores, 0.0).amax(1)
        rows = torch.stack([values.float(), labels.float(), best], 1)
        return rows[first.nonzero()[:, 0]]


def count_pixels(owner, weights, like):
    """How many pixels of weight 1 belong to each of as many owners as `like` has."""
    return torch.zeros_like(like).scatter_add(0, owner.flatten(), weights.flatten())


def boxes_around(masks):
    """Boxes (N, 4) of masks (N, H, W) of 0 and 1, zeros for empty ones: mm's `mask2bbox`."""
    ends = []
    for axis in (1, 2):
        line = masks.amax(axis)
        place = torch.arange(line.shape[1], dtype=torch.float32)
        high = (line * (place + 1)).amax(1)
        low = torch.where(line > 0, place, float('inf')).amin(1)
        ends.append((torch.where(high > 0, low, 0.0), high))
    (left, right), (top, bottom) = ends
    return torch.stack([left, top, right, bottom], 1)


def mask_query_model(model, settings):
    """What stands for a model of mask queries: panoptic if its config says so, else instances."""
    config = model.panoptic_fusion_head.test_cfg
    if config.get('panoptic_on', True):
        return PanopticMasks(model, settings)
    if config.get('instance_on', False):
        return InstanceMasks(model, settings)
    raise Refused('the test_cfg asks for no result: panoptic_on and instance_on are both off')
