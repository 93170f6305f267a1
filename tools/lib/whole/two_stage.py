"""Detectors of two stages: Faster, Mask and Cascade R-CNN."""

import torch
from mmcv.ops import RoIAlign
from mmdet.models.dense_heads import RPNHead
from mmdet.models.detectors import TwoStageDetector
from mmdet.models.roi_heads import CascadeRoIHead, StandardRoIHead
from mmdet.models.roi_heads.bbox_heads import BBoxHead
from mmdet.models.roi_heads.mask_heads import FCNMaskHead
from mmdet.models.roi_heads.roi_extractors import SingleRoIExtractor
from torch import nn

from lib.whole import OF_ONE_IMAGE, Refused, WholeModel, check_methods
from lib.whole.boxes import assume_some, decode, not_suppressible, paste, suppress, wide
from lib.whole.dense_heads import candidates, check_dense, probabilities
from mmbackbones.operators.roi import roi_align


def as_list(module):
    """The modules of each stage, of which there may be one."""
    return list(module) if isinstance(module, nn.ModuleList) else [module]


class RegionDetector(WholeModel):
    """A detector that proposes regions and classifies each, in one stage or several."""

    computes_half = True

    def __init__(self, model, settings):
        super().__init__(model, settings)
        self.roi = model.roi_head
        check_regions(model)
        self.score_threshold = self.roi.test_cfg.score_thr
        if self.roi.with_mask:
            self.task = 'instance'
            self.masks = 'image' if settings.get('paste_masks') else 'boxes'
            self.output_names = (*self.output_names, 'masks')
            self.mask_threshold = self.roi.test_cfg.mask_thr_binary

    def forward(self, image):
        size = self.picture.sides(image)
        features = self.features(self.picture(image))
        regions, scores, deltas = self.classify(features, self.propose(features, size), size)
        boxes, scores, labels = self.choose(regions, scores, deltas, size)
        if not self.roi.with_mask:
            return boxes, scores, labels
        masks = self.segment(features, boxes, labels)
        if self.masks == 'image':
            masks = paste(masks, boxes, image) >= self.mask_threshold
        return boxes, scores, labels, masks

    def propose(self, features, size):
        """Regions (N, 4) of the first stage."""
        head, config = self.model.rpn_head, self.model.rpn_head.test_cfg
        maps = head(features)
        shapes = [level.shape[-2:] for level in maps[0]]
        priors = head.prior_generator.grid_priors(shapes, torch.float32, features[0].device)
        levels = []
        for level, (score, delta, prior) in enumerate(zip(*maps, priors, strict=True)):
            score = probabilities(head, score[0].float())
            delta = delta[0].float().permute(1, 2, 0).reshape(-1, head.bbox_coder.encode_size)
            levels.append((score, delta, prior, torch.full_like(prior[:, 0], level)))
        scores, _, deltas, priors, level = candidates(levels, config.get('nms_pre', -1))
        boxes = decode(head.bbox_coder, priors, deltas, size)
        kept = wide(boxes, config).nonzero()[:, 0]
        boxes, scores, level = boxes[kept], scores[kept], level[kept]
        return boxes[suppress(boxes, scores, level, config.nms, config.max_per_img)]

    def classify(self, features, regions, size):
        """Regions as the last stage sees them, their scores and what moves them."""
        heads, extractors = as_list(self.roi.bbox_head), as_list(self.roi.bbox_roi_extractor)
        total = 0
        for stage, (head, extractor) in enumerate(zip(heads, extractors, strict=True)):
            logits, deltas = head(features_of(extractor, features, regions))
            logits, deltas = logits.float(), deltas.float()
            total = total + logits
            if stage < len(heads) - 1:
                own = of_class(head, deltas, logits[:, :-1].argmax(1))
                regions = decode(head.bbox_coder, regions, own, size)
        return regions, (total / len(heads)).softmax(-1)[:, :-1], deltas

    def choose(self, regions, scores, deltas, size):
        """Boxes, scores and labels that are left after non-maximum suppression."""
        head, config, classes = as_list(self.roi.bbox_head)[-1], self.roi.test_cfg, scores.shape[1]
        region, labels = (scores > config.score_thr).nonzero().unbind(1)
        own = of_class(head, deltas[region], labels)
        boxes = decode(head.bbox_coder, regions[region], own, size)
        scores = scores.flatten()[region * classes + labels]
        kept = suppress(boxes, scores, labels, config.nms, config.max_per_img)
        return boxes[kept], scores[kept], labels[kept]

    def segment(self, features, boxes, labels):
        """Masks (N, 28, 28) of boxes."""
        extractors = as_list(self.roi.mask_roi_extractor)
        heads = zip(self.mask_heads(), extractors, strict=True)
        return self.masks_of([head(features_of(e, features, boxes)) for head, e in heads], labels)

    def mask_heads(self):
        """The heads of all stages."""
        return as_list(self.roi.mask_head) if self.roi.with_mask else []

    def masks_of(self, logits, labels):
        """Masks (N, 28, 28) of some labels, the mean over the stages."""
        masks = []
        for head, maps in zip(self.mask_heads(), logits, strict=False):
            own = torch.zeros_like(labels) if head.class_agnostic else labels
            own = own[:, None, None, None].expand(-1, 1, *maps.shape[2:])
            masks.append(maps.float().gather(1, own)[:, 0].sigmoid())
        return sum(masks) / len(masks) if masks else torch.zeros(0, 28, 28)


def of_class(head, deltas, labels):
    """Of the deltas (N, 4 for each class) those of a class for each region."""
    if head.reg_class_agnostic:
        return deltas
    size = head.bbox_coder.encode_size
    places = labels[:, None] * size + torch.arange(size, device=labels.device)
    return deltas.gather(1, places)


def features_of(extractor, features, boxes):
    """Features of each box from the level of its size."""
    assume_some(boxes)  # batch norms ask; for none they give none
    rois = torch.cat([torch.zeros_like(boxes[:, :1]), boxes], 1)
    layers = extractor.roi_layers
    levels = extractor.map_roi_levels(rois, len(layers))
    found, order = [], []
    for level, layer in enumerate(layers):
        places = (levels == level).nonzero()[:, 0]
        options = layer.output_size, layer.spatial_scale, layer.sampling_ratio, layer.aligned
        found.append(roi_align(features[level].float(), rois[places], *options))
        order.append(places)
    order = torch.cat(order)
    back = torch.zeros_like(levels).index_put((order,), torch.arange(order.shape[0]))
    return torch.cat(found)[back].to(features[0].dtype)


def check_regions(model):
    """Raise `Refused` if a part of a detector does something that this file does not know."""
    roi = model.roi_head
    boxes = as_list(roi.bbox_head)
    masks = as_list(roi.mask_head) if roi.with_mask else []
    extractors = as_list(roi.bbox_roi_extractor)
    extractors += as_list(roi.mask_roi_extractor) if masks else []
    check_methods([model], 'predict', TwoStageDetector)
    # If mm's private steps move, two-stage detectors cannot be exported.
    check_methods([roi], 'predict_bbox _bbox_forward', StandardRoIHead, CascadeRoIHead)
    check_methods([roi], 'predict_mask _mask_forward', StandardRoIHead, CascadeRoIHead)
    check_methods(boxes, f'predict_by_feat {OF_ONE_IMAGE} regress_by_class', BBoxHead)
    check_methods(masks, f'predict_by_feat {OF_ONE_IMAGE}', FCNMaskHead)
    check_methods(extractors, 'forward map_roi_levels', SingleRoIExtractor)
    check_methods([model.rpn_head], OF_ONE_IMAGE, RPNHead)
    check_dense(model.rpn_head, model.rpn_head.test_cfg, RPNHead)
    pooled = [layer for extractor in extractors for layer in extractor.roi_layers]
    unknown = {
        'a shared head': roi.with_shared_head,
        'regions without RoIAlign': not all(
            isinstance(layer, RoIAlign) and layer.pool_mode == 'avg' for layer in pooled
        ),
        'masks of grey levels': bool(masks) and roi.test_cfg.mask_thr_binary < 0,
        'scores of its own': any(head.custom_activation for head in boxes),
        'boxes that are not moved': not all(head.with_reg for head in boxes),
        'boxes of an unknown coder': not all(hasattr(h.bbox_coder, 'clip_border') for h in boxes),
    }
    reason = not_suppressible(roi.test_cfg.nms)
    reason = reason or next((part for part, is_there in unknown.items() if is_there), None)
    if reason:
        raise Refused(f'{type(roi).__name__} has {reason}, which is not known here')
