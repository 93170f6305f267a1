"""Overlaps of rotated boxes, and the choice among them.

The corners of the shape that two rectangles share are among 24 points: where two sides
cross, and corners of one that lie inside the other. Sorted by their angle around their mean, they
give its area.
"""

import torch

from .boxes import choose

CHUNK = 2**14  # pairs at a time


def corners_of(boxes):
    """Corners (N, 4, 2) of boxes (N, 5): centre, width, height, angle in radians."""
    x, y, width, height, angle = boxes.unbind(1)
    cos, sin = angle.double().cos().to(x.dtype) * 0.5, angle.double().sin().to(x.dtype) * 0.5
    x0, y0 = x - sin * height - cos * width, y + cos * height - sin * width
    x1, y1 = x + sin * height - cos * width, y - cos * height - sin * width
    columns = [x0, y0, x1, y1, 2 * x - x0, 2 * y - y0, 2 * x - x1, 2 * y - y1]
    return torch.stack(columns, 1).unflatten(1, (4, 2))


def cross(a, b):
    """Cross products of vectors (..., 2)."""
    return a[..., 0] * b[..., 1] - b[..., 0] * a[..., 1]


def crossings(p, q):
    """Points (N, 16, 2) where sides of p (N, 4, 2) and q cross, and which of them exist."""
    side_p, side_q = (p.roll(-1, 1) - p)[:, :, None], (q.roll(-1, 1) - q)[:, None]
    between = q[:, None] - p[:, :, None]
    det = cross(side_q, side_p)
    s, t = cross(side_q, between) / det, cross(side_p, between) / det
    exist = (det.abs() > 1e-14) & (s >= 0) & (s <= 1) & (t >= 0) & (t <= 1)
    points = p[:, :, None] + side_p * torch.where(exist, s, 0)[..., None]
    return points.flatten(1, 2), exist.flatten(1)


def inside(points, q):
    """Which points (N, 4, 2) are inside of rectangles q (N, 4, 2)."""
    side, other = q[:, 1:2] - q[:, :1], q[:, 3:] - q[:, :1]
    along = points - q[:, :1]
    a, b = (along * side).sum(2), (along * other).sum(2)
    return (a >= 0) & (b >= 0) & (a <= (side * side).sum(2)) & (b <= (other * other).sum(2))


def shared_area(p, q):
    """Areas (N,) that rectangles (N, 4, 2) share."""
    points, exist = crossings(p, q)
    points = torch.cat([points, p, q], 1)
    exist = torch.cat([exist, inside(p, q), inside(q, p)], 1)
    count = exist.sum(1)
    mean = (points * exist[..., None]).sum(1) / count.clamp(min=1)[:, None]
    around = points - mean[:, None]
    angle = torch.where(exist, torch.atan2(around[..., 1], around[..., 0]), 4)  # none: after all
    order = angle.argsort(1)
    around = around.gather(1, order[..., None].expand_as(around))
    around = torch.where(exist.gather(1, order)[..., None], around, around[:, :1])
    around = around - around[:, :1]
    area = cross(around[:, :-1], around[:, 1:]).sum(1).abs() / 2
    return torch.where(count > 2, area, 0)


def rotated_overlaps(a, b, of_first=False):
    """Overlaps (N,) of rotated boxes (N, 5), row by row, in float32 as in mmcv."""
    a, b = a[:, :5].float(), b[:, :5].float()
    middle = (a[:, :2] + b[:, :2]) / 2  # near zero, the numbers are most precise
    p, q = (corners_of(torch.cat([c[:, :2] - middle, c[:, 2:]], 1)) for c in (a, b))
    shared, area1, area2 = shared_area(p, q), a[:, 2] * a[:, 3], b[:, 2] * b[:, 3]
    flat = (area1 < 1e-14) | (area2 < 1e-14)
    return torch.where(flat, 0, shared / (area1 if of_first else area1 + area2 - shared))


def all_overlaps(a, b, of_first=False):
    """Overlaps (N, M) of every box of a with every one of b."""
    rows, columns = (~apart(a, b)).nonzero().unbind(1)
    found = torch.zeros(len(a), len(b), device=a.device)
    for i, j in zip(rows.split(CHUNK), columns.split(CHUNK), strict=True):
        found[i, j] = rotated_overlaps(a[i], b[j], of_first)
    return found


def apart(a, b):
    """Which boxes (N, M) are so far from each other that not even the circles around them meet."""
    reach = [box[:, 2:4].float().norm(dim=1) / 2 * 1.001 for box in (a, b)]
    return torch.cdist(a[:, :2].float(), b[:, :2].float()) > reach[0][:, None] + reach[1]


def box_iou_rotated(boxes1, boxes2, ious, mode_flag, aligned):
    """Write overlaps into `ious`: over the union (mode 0) or over the first box (mode 1)."""
    function = rotated_overlaps if aligned else all_overlaps
    ious.copy_(function(boxes1, boxes2, mode_flag == 1).view_as(ious))


def nms_rotated(dets, scores, order, dets_sorted, labels, iou_threshold, multi_label):
    """Indices of the boxes that are kept; those of other labels, column 6, exclude no others."""
    order = scores.sort(descending=True).indices
    boxes = dets[order]

    def conflict(i, j):
        over = all_overlaps(boxes[i], boxes[j]) >= iou_threshold
        return over & (boxes[i, None, 5] == boxes[j, 5]) if multi_label else over

    return order[choose(len(order), conflict, dets)]
