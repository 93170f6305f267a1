"""Boxes as mmdet decodes, sorts and suppresses them, without branches on data."""

import torch
import torch.nn.functional as F

from mmbackbones.operators.boxes import nms

SUPPRESSION = {'type', 'iou_threshold', 'class_agnostic', 'split_thr', 'max_num'}  # split: for memory


def not_suppressible(config):
    """What a config of non-maximum suppression asks for that engines lack; None if nothing."""
    if config is None:
        return None
    if config.get('type', 'nms') != 'nms':
        return f'nms of type {config["type"]}'
    others = sorted(set(config) - SUPPRESSION)
    return f'nms with {", ".join(others)}' if others else None


def decode(coder, priors, deltas, sides):
    """Boxes of mm's coder, clipped at the sides (height, width) of the picture if it clips."""
    torch._check(deltas.shape[0] != 0)  # mm returns early, with the same, if there is none
    boxes = coder.decode(priors, deltas)
    boxes = getattr(boxes, 'tensor', boxes)
    return clip(boxes, sides) if coder.clip_border else boxes


def clip(boxes, sides):
    """Boxes (N, 4) without what lies outside of the picture."""
    height, width = sides
    return boxes.clamp(min=0).minimum(torch.stack([width, height, width, height]))


def largest(values, count):
    """The largest of values (N,), at most `count` or all if that is no number, and their places."""
    size = values.shape[0]
    return values.topk(torch.sym_min(count, size) if count > 0 else size)


def wide(boxes, config):
    """Which boxes are wider and higher than the config's `min_bbox_size`."""
    return ((boxes[:, 2:] - boxes[:, :2]) > config.get('min_bbox_size', -1)).all(1)


def suppress(boxes, scores, groups, config, limit):
    """Places of the boxes that non-maximum suppression keeps, best first, at most `limit`."""
    if config is None:
        return scores.argsort(descending=True)[:limit]
    if not config.get('class_agnostic', False):
        # As mmcv: boxes of each group lie in a place of their own.
        extent = F.pad(boxes.flatten(), (0, 1)).max() + 1
        boxes = boxes + (groups.to(boxes) * extent)[:, None]
    return nms(boxes, scores, config['iou_threshold'], 0)[:limit]
