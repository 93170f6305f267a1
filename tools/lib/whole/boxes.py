"""Boxes as mmdet decodes, sorts and suppresses them, without branches on data."""

import torch
import torch.nn.functional as F

from lib.suppression import nms_up_to

SUPPRESSION = {
    'type',
    'iou_threshold',
    'class_agnostic',
    'split_thr',
    'max_num',
}  # split: for memory


def not_suppressible(config):
    """What a config of non-maximum suppression asks for that engines lack; None if nothing."""
    if config is None:
        return None
    if config.get('type', 'nms') != 'nms':
        return f'nms of type {config["type"]}'
    others = sorted(set(config) - SUPPRESSION)
    return f'nms with {", ".join(others)}' if others else None


def assume_some(boxes):
    """Tell torch.export that there are boxes; the graph must compute the same for none.

    If PyTorch's check moves, detectors cannot be exported.
    """
    if torch.compiler.is_compiling():
        torch._check(boxes.shape[0] != 0)


def decode(coder, priors, deltas, sides):
    """Boxes of mm's coder, clipped at the sides (height, width) of the picture if it clips."""
    assume_some(deltas)  # mm returns early, with the same, if there is none
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
    return nms_up_to(boxes, scores, config['iou_threshold'], limit)


def paste(masks, boxes, image):
    """Masks (N, h, w) of boxes as those of a picture (N, H, W), bilinear and zero outside.

    The weights of rows and columns are apart, so that it is two products of matrices.
    """
    rows = sampling(boxes[:, 1::2], image.shape[-3], masks.shape[1])
    columns = sampling(boxes[:, 0::2], image.shape[-2], masks.shape[2])
    return rows @ masks @ columns.transpose(1, 2)


def sampling(ends, size, cells):
    """Weights (N, size, cells) of a mask's cells, between two ends, in each pixel of a side."""
    low, high = ends[:, None, :1], ends[:, None, 1:]
    pixels = torch.arange(size, device=ends.device)[:, None] + 0.5
    places = (pixels - low) / (high - low).clamp(min=1e-6) * cells - 0.5
    return (1 - (places - torch.arange(cells, device=ends.device)).abs()).clamp(min=0)
