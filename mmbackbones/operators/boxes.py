"""Overlaps of boxes and the choice among them.

Greedy non-maximum suppression is a fixed point: in order of scores, a box is kept if no kept box
before it overlaps it, and only one set of boxes fulfils that. Starting from all boxes, each round
settles at least one more, and mostly all that are left; a round is one matrix product.

Soft-NMS is of Bodla et al., https://arxiv.org/abs/1704.04503.
"""

import torch

from .sampling import precise


def area(x1, y1, x2, y2, offset):
    """Areas of boxes whose sides are longer by an offset than their coordinates say."""
    return (x2 - x1 + offset) * (y2 - y1 + offset)


def intersections(a, b, offset):
    """Areas that boxes share, given as the four columns of each, which broadcast."""
    width = torch.minimum(a[2], b[2]).sub_(torch.maximum(a[0], b[0])).add_(offset).clamp_(min=0)
    height = torch.minimum(a[3], b[3]).sub_(torch.maximum(a[1], b[1])).add_(offset).clamp_(min=0)
    return width.mul_(height)


def overlaps(a, b, offset=0, of_first=False):
    """Intersection over union, or over the first box, of columns that broadcast."""
    shared = intersections(a, b, offset)
    if of_first:
        return shared.div_(area(*a, offset))
    return shared.div_((area(*a, offset) + area(*b, offset)).sub_(shared))


def pairs(a, b):
    """Columns of boxes (N, 4) and (M, 4) that broadcast to (N, M)."""
    return a.T.unsqueeze(2), b.T.unsqueeze(1)


def bbox_overlaps(boxes1, boxes2, ious, mode, aligned, offset):
    """Write overlaps into `ious`: over the union (mode 0) or over the first box (mode 1)."""
    a, b = precise(boxes1, boxes2)
    columns = (a.T, b.T) if aligned else pairs(a, b)
    ious.copy_(overlaps(*columns, offset, of_first=mode == 1))


def choose(count, conflict, device):
    """Indices that a greedy choice keeps of `count` items in order of preference.

    `conflict` says of two tensors of indices which pairs exclude each other, as booleans (N, M).
    """
    block = 256 if device.type == 'cpu' else 1024  # elsewhere rounds cost more than numbers
    kept = torch.empty(0, dtype=torch.long, device=device)
    for part in torch.arange(count, device=device).split(block):
        for before in kept.split(4 * block):
            part = part[~conflict(part, before).any(1)]
        before = conflict(part, part).triu_(1).float()
        keep, last = torch.ones_like(part, dtype=torch.float), None
        while last is None or not torch.equal(keep, last):
            keep, last = ((keep @ before) == 0).float(), keep
        kept = torch.cat([kept, part[keep.bool()]])
    return kept


def nms(boxes, scores, iou_threshold, offset):
    """Indices of the boxes (N, 4) that are kept, by falling scores, equal ones in their order."""
    order = scores.sort(descending=True).indices
    (sorted_boxes,) = precise(boxes[order])

    def conflict(i, j):
        return overlaps(*pairs(sorted_boxes[i], sorted_boxes[j]), offset) > iou_threshold

    return order[choose(len(order), conflict, boxes.device)]


def nms_match(dets, iou_threshold):
    """Lists of indices: each kept box of (N, 5), then those that it is the first to suppress."""
    order = dets[:, 4].contiguous().sort(descending=True).indices
    (boxes,) = precise(dets[order, :4])

    def conflict(i, j):
        return overlaps(*pairs(boxes[i], boxes[j])) >= iou_threshold

    kept = choose(len(order), conflict, dets.device)
    groups = {index: [index] for index in order[kept].tolist()}
    rest = torch.ones(len(order), dtype=torch.bool, device=dets.device)
    rest[kept] = False
    for part in rest.nonzero().flatten().split(1024):
        earlier = kept < part[:, None]
        first = (conflict(part, kept) & earlier).float().argmax(1)
        for winner, loser in zip(order[kept[first]].tolist(), order[part].tolist(), strict=True):
            groups[winner].append(loser)
    return list(groups.values())


def softnms(boxes, scores, dets, iou_threshold, sigma, min_score, method, offset):
    """Write boxes with lowered scores into `dets`, and return their indices.

    Method 0 drops what overlaps, 1 lowers its score by the overlap, 2 by a Gaussian of it. The
    highest score is next; equal ones in the order that mmcv's swaps leave.
    """
    columns = torch.cat([boxes.T, scores[None]]).clone()
    index = torch.arange(len(boxes), device=boxes.device)
    count, place = len(boxes), 0
    while place < count:
        best = place
        if not columns[4, place].isnan():
            best += int(columns[4, place:count].nan_to_num(-torch.inf).argmax())
        swap = torch.tensor([place, best], device=boxes.device)
        columns[:, swap], index[swap] = columns[:, swap.flip(0)], index[swap.flip(0)]
        dets[place] = columns[:, place]
        place += 1
        rest = columns[:, place:count]
        iou = overlaps(columns[:4, place - 1 : place], rest[:4], offset)
        if method == 2:
            rest[4] *= (-(iou * iou) / sigma).exp()
        else:
            rest[4] *= torch.where(iou >= iou_threshold, 1 - iou if method else 0, 1)
        low = rest[4] < min_score
        if low.any():
            moved = fill_gaps(low)
            columns[:, place : place + len(moved)] = rest[:, moved]
            index[place : place + len(moved)] = index[place:count][moved]
            count = place + len(moved)
    return index[:count]


def fill_gaps(gaps):
    """Indices of what is no gap, in the order after gaps are filled one by one from the end."""
    left = int(gaps.numel() - gaps.sum())
    order = torch.arange(left, device=gaps.device)
    order[gaps[:left]] = ((~gaps[left:]).nonzero().flatten() + left).flip(0)
    return order
