"""Overlaps of boxes and the choice among them.

Greedy non-maximum suppression is a fixed point: in order of scores, a box is kept if no kept box
before it overlaps it, and only one set of boxes fulfils that. Starting from all boxes, each round
decides on at least one more, and mostly on all that are left; a round is one matrix product.

Soft-NMS is of Bodla et al., https://arxiv.org/abs/1704.04503.
"""

import numpy as np
import torch

from .graphs import node
from .sampling import on_cpu, precise

GROUP = 128  # boxes that are worth a search of their own


def area(corners, offset):
    """Areas of boxes, as columns x1, y1, x2, y2, whose sides are longer by an offset."""
    x1, y1, x2, y2 = corners
    return (x2 - x1 + offset) * (y2 - y1 + offset)


def intersections(a, b, offset):
    """Areas that boxes share, given as the four columns of each, which broadcast."""
    width = torch.minimum(a[2], b[2]).sub_(torch.maximum(a[0], b[0])).add_(offset).clamp_(min=0)
    height = torch.minimum(a[3], b[3]).sub_(torch.maximum(a[1], b[1])).add_(offset).clamp_(min=0)
    return width.mul_(height)


def overlaps(a, b, *, offset=0, of_first=False):
    """Intersection over union, or over the first box, of columns that broadcast."""
    shared = intersections(a, b, offset)
    if of_first:
        return shared.div_(area(a, offset))
    return shared.div_((area(a, offset) + area(b, offset)).sub_(shared))


def pairs(a, b):
    """Columns of boxes (N, 4) and (M, 4) that broadcast to (N, M)."""
    return a.T.unsqueeze(2), b.T.unsqueeze(1)


def bbox_overlaps(boxes1, boxes2, ious, mode, aligned, offset):
    """Write overlaps into `ious`: over the union (mode 0) or over the first box (mode 1)."""
    a, b = precise(boxes1, boxes2)
    columns = (a.T, b.T) if aligned else pairs(a, b)
    ious.copy_(overlaps(*columns, offset=offset, of_first=mode == 1))


def choose(count, conflict, like):
    """Indices, on the device of a tensor, that a greedy choice keeps of items in their order.

    `conflict` says of two tensors of indices which pairs exclude each other, as booleans (N, M).
    """
    block = 256 if on_cpu(like) else 1024  # elsewhere rounds cost more than numbers
    kept = torch.empty(0, dtype=torch.long, device=like.device)
    for part in torch.arange(count, device=like.device).split(block):
        for before in kept.split(4 * block):
            part = part[~conflict(part, before).any(1)]
        before = conflict(part, part).triu_(1).float()
        keep, last = torch.ones_like(part, dtype=torch.float), None
        while last is None or not torch.equal(keep, last):
            keep, last = ((keep @ before) == 0).float(), keep
        kept = torch.cat([kept, part[keep.bool()]])
    return kept


def groups(boxes, threshold, offset):
    """Lists of indices of boxes, between which nothing overlaps in x; on a CPU, where it pays.

    mmcv moves the boxes of each class to a place of their own, so that few pairs are left.
    """
    if not on_cpu(boxes) or threshold < 0 or len(boxes) <= GROUP:
        return [torch.arange(len(boxes), device=boxes.device)]
    left, order = boxes[:, 0].sort()
    reach = boxes[order, 2].cummax(0).values + 2 * offset  # more than enough: sums are rounded
    cuts = [0]
    for cut in ((left[1:] >= reach[:-1]).nonzero().flatten() + 1).tolist():
        if cut - cuts[-1] >= GROUP:
            cuts.append(cut)
    return [part.sort().values for part in order.tensor_split(cuts[1:])]


def some_indices(boxes, *others):
    """The shape of what `nms` returns: nobody knows how many are kept."""
    return boxes.new_empty(torch.library.get_ctx().new_dynamic_size(), dtype=torch.long)


@node('(Tensor boxes, Tensor scores, float iou_threshold, int offset) -> Tensor', some_indices)
def nms(boxes, scores, iou_threshold, offset):
    """Indices of the boxes (N, 4) that are kept, by falling scores, equal ones in mmcv's order."""
    order = scores.sort(descending=True).indices
    (boxes,) = precise(boxes[order])
    keep = torch.zeros_like(order, dtype=torch.bool)
    for group in groups(boxes, iou_threshold, offset):
        some = boxes[group]

        def conflict(i, j, some=some):
            return overlaps(*pairs(some[i], some[j]), offset=offset) > iou_threshold

        keep[group[choose(len(some), conflict, some)]] = True
    return order[keep]


def nms_match(dets, iou_threshold):
    """Lists of indices: each kept box of (N, 5), then those that it is the first to suppress."""
    order = dets[:, 4].contiguous().sort(descending=True).indices
    (boxes,) = precise(dets[order, :4])

    def conflict(i, j):
        return overlaps(*pairs(boxes[i], boxes[j])) >= iou_threshold

    kept = choose(len(order), conflict, dets)
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
    (columns,) = precise(torch.cat([boxes.T, scores[None].to(boxes)]))
    columns = columns.cpu().numpy()  # box by box, numpy's calls cost less
    index, count, place = np.arange(len(boxes)), len(boxes), 0
    while place < count:
        rest = columns[4, place:count]
        best = place if np.isnan(rest[0]) else place + np.nan_to_num(rest, nan=-np.inf).argmax()
        columns[:, [place, best]] = columns[:, [best, place]]
        index[[place, best]] = index[[best, place]]
        place += 1
        rest = columns[:, place:count]
        with np.errstate(all='ignore'):
            iou = overlaps_of_one(columns[:, place - 1], rest, offset)
            if method == 2:
                rest[4] *= np.exp(-(iou * iou) / sigma)
            else:
                rest[4][iou >= iou_threshold] *= (1 - iou[iou >= iou_threshold]) if method else 0
        low = rest[4] < min_score
        if low.any():
            left = fill_gaps(low)
            columns[:, place : place + len(left)] = rest[:, left]
            index[place : place + len(left)] = index[place:count][left]
            count = place + len(left)
    dets[:count] = torch.from_numpy(columns[:, :count].T)
    return torch.from_numpy(index[:count]).to(boxes.device)


def overlaps_of_one(box, others, offset):
    """Intersection over union of a box and others, columns of numpy."""
    sides = np.minimum(box[2:4, None], others[2:4]) - np.maximum(box[:2, None], others[:2]) + offset
    width, height = sides.clip(min=0)
    return width * height / (area(box[:4], offset) + area(others[:4], offset) - width * height)


def fill_gaps(gaps):
    """Indices of what is kept, in the order in which mmcv leaves it: the last fills each gap."""
    left = len(gaps) - np.count_nonzero(gaps)
    order = np.arange(left)
    order[gaps[:left]] = left + np.flatnonzero(~gaps[left:])[::-1]
    return order
