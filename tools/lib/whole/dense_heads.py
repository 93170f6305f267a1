"""Detectors with a dense head: RetinaNet, ATSS, FCOS, GFL, RTMDet and others that decode alike."""

import torch
from mmdet.models.dense_heads import GFLHead
from mmdet.models.dense_heads.base_dense_head import BaseDenseHead
from mmdet.models.detectors import SingleStageDetector

from lib.whole import OF_ONE_IMAGE, Refused, WholeModel, check_methods
from lib.whole.boxes import decode, largest, not_suppressible, suppress, wide


def check_dense(head, config, kind):
    """Raise `Refused` if a head chooses boxes otherwise than a class of mm, in a sentence."""
    check_methods([head], 'predict predict_by_feat', BaseDenseHead)
    check_methods([head], '_bbox_post_process', kind)  # if it moves, none can be exported
    reason = not_suppressible(config.get('nms'))
    if not hasattr(head.bbox_coder, 'clip_border'):
        reason = f'boxes of a {type(head.bbox_coder).__name__}'
    elif getattr(head.loss_cls, 'custom_cls_channels', False):
        reason = f'scores of a {type(head.loss_cls).__name__}'
    if reason:
        raise Refused(f'{type(head).__name__} has {reason}, which is not known here')


def probabilities(head, scores):
    """Scores (priors, classes) of a level's (classes of all anchors, H, W)."""
    scores = scores.permute(1, 2, 0).reshape(-1, head.cls_out_channels)
    return scores.sigmoid() if head.use_sigmoid_cls else scores.softmax(-1)[:, :-1]


def candidates(levels, count):
    """The best `count` of each level, as the scores, the labels and what else belongs to a prior.

    Args:
        levels: Of each level the scores (priors, classes), and tensors with a row for each prior.
        count: How many are kept of a level.
    """
    found = []
    for scores, *others in levels:
        classes = scores.shape[1]
        best, place = largest(scores.flatten(), count)
        prior = place // classes
        found.append((best, place % classes, *(other[prior] for other in others)))
    return [torch.cat(parts) for parts in zip(*found, strict=True)]


class DenseDetector(WholeModel):
    """A detector whose boxes are the best of a dense head, after non-maximum suppression."""

    computes_half = True

    def __init__(self, model, settings):
        super().__init__(model, settings)
        self.head, self.config = model.bbox_head, model.bbox_head.test_cfg
        check_methods([model], 'predict', SingleStageDetector)
        check_methods([self.head], OF_ONE_IMAGE, BaseDenseHead, GFLHead)
        check_dense(self.head, self.config, BaseDenseHead)
        self.score_threshold = self.config.get('score_thr', 0)

    def forward(self, image):
        outputs = self.head(self.features(self.picture(image)))
        size = [level.shape[-2:] for level in outputs[0]]
        maps = [[level[0].float() for level in kind] for kind in outputs]
        priors = self.head.prior_generator.grid_priors(size, torch.float32, image.device)
        levels = DECODING[getattr(type(self.head), OF_ONE_IMAGE)]
        scores, labels, boxes, factors = levels(
            self.head, maps, priors, self.config, self.picture.sides(image)
        )
        kept = (scores > self.score_threshold) & wide(boxes, self.config)
        kept = kept.nonzero()[:, 0]
        boxes, scores, labels = boxes[kept], scores[kept] * factors[kept], labels[kept]
        kept = suppress(boxes, scores, labels, self.config.get('nms'), self.config.max_per_img)
        return boxes[kept], scores[kept], labels[kept]


def by_coder(head, maps, priors, config, sides):
    """Boxes of priors and what is predicted for them; a third kind of maps lowers scores."""
    levels = []
    for score, box, prior, *factor in zip(*maps[:2], priors, *maps[2:], strict=True):
        box = box.permute(1, 2, 0).reshape(-1, head.bbox_coder.encode_size)
        factor = [f.permute(1, 2, 0).flatten().sigmoid() for f in factor]
        levels.append((probabilities(head, score), box, prior, *factor))
    scores, labels, boxes, priors, *factors = candidates(levels, config.get('nms_pre', -1))
    boxes = decode(head.bbox_coder, priors, boxes, sides)
    return scores, labels, boxes, factors[0] if factors else torch.ones_like(scores)


def by_distribution(head, maps, priors, config, sides):
    """GFL's boxes: the means of distributions of distances."""
    levels = []
    strides = head.prior_generator.strides
    for score, box, prior, stride in zip(*maps, priors, strides, strict=True):
        distances = head.integral(box.permute(1, 2, 0)) * stride[0]
        levels.append((probabilities(head, score), distances, head.anchor_center(prior)))
    scores, labels, distances, points = candidates(levels, config.get('nms_pre', -1))
    return (
        scores,
        labels,
        decode(head.bbox_coder, points, distances, sides),
        torch.ones_like(scores),
    )


DECODING = {  # what a head decodes by, in mm: the same without branches
    getattr(BaseDenseHead, OF_ONE_IMAGE): by_coder,
    getattr(GFLHead, OF_ONE_IMAGE): by_distribution,
}
