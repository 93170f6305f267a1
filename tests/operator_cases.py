"""mmcv's operators on small inputs, in float32 on a CPU, and the recorded results of compiled ones.

    python tests/operator_cases.py tests/data/operators/mmcv.npz

records them with a compiled mmcv. A case is a function of a source of random numbers that returns
results, and gradients of the sum of the first one, weighed, by some tensors.
"""

import sys

import numpy as np
import torch
from mmcv import ops

CASES = {}
# What depends on the order in which a machine sorts equal numbers.
UNSTABLE = (
    'nms_of_equal_scores', 'nms_of_odd_boxes_0', 'nms_of_odd_boxes_1', 'nms_match_0.3',
    'nms_match_0.6',
)  # fmt: skip


class Draw:
    """Random numbers of a seed, the same in every version of PyTorch."""

    def __init__(self, seed):
        self.numbers = np.random.RandomState(seed)

    def rand(self, *shape):
        return torch.from_numpy(self.numbers.random_sample(shape)).float()

    def randn(self, *shape):
        return torch.from_numpy(self.numbers.standard_normal(shape)).float()

    def boxes(self, count, side=200.0):
        corner = self.rand(count, 2) * side
        return torch.cat([corner, corner + self.rand(count, 2) * 60 + 1], 1)

    def rotated(self, count):
        sides = self.rand(count, 2) * 20 + 2
        return torch.cat([self.rand(count, 2) * 50, sides, self.rand(count, 1) * 6 - 3], 1)

    def rois(self, count, images, side=200.0):
        return torch.cat([(self.rand(count, 1) * images).floor(), self.boxes(count, side)], 1)


def case(*options):
    """Enter a function as one case, or as one for each of its options."""

    def enter(function):
        name = function.__name__
        for option in options or [()]:
            label = '_'.join(map(str, (name, *option))).replace(' ', '')
            CASES[label] = lambda draw, option=option: function(draw, *option)
        return function

    return enter


def with_gradients(output, *tensors):
    """An output, and the gradients of its weighed sum."""
    weights = torch.linspace(-1, 1, output.numel()).view(output.shape)
    return [
        output,
        *torch.autograd.grad((output * weights.to(output)).sum(), tensors, retain_graph=True),
    ]


def results(name):
    """The numbers of a case, as arrays."""
    return [t.detach().numpy() for t in CASES[name](Draw(sum(map(ord, name))))]


@case((400, 0.5, 0), (1, 0.5, 0), (0, 0.5, 0), (700, 0.3, 1), (600, 0.7, 0))
def nms(draw, count, threshold, offset):
    return list(ops.nms(draw.boxes(count), draw.rand(count), threshold, offset))


@case()
def nms_of_equal_scores(draw):
    return list(ops.nms(draw.boxes(300), (draw.rand(300) * 4).floor() / 4, 0.3))


def odd_boxes(draw):
    """Boxes among which are some of no size, upside down, huge, infinite and NaN."""
    boxes = draw.boxes(120, 60)
    boxes[3:9, 2:] = boxes[3:9, :2]
    boxes[9:15] = boxes[9:15, [2, 3, 0, 1]]
    boxes[15:18, 2:] = 1e6
    boxes[18:21, 2] = torch.inf
    boxes[21:27, 1] = torch.nan
    boxes[27] = torch.nan
    boxes[30:40] = boxes[40:50]
    return boxes


@case((0,), (1,))
def nms_of_odd_boxes(draw, offset):
    scores = draw.rand(120)
    scores[50:53] = torch.nan
    return list(ops.nms(odd_boxes(draw), scores, 0.4, offset))


@case((0,), (1,))
def soft_nms_of_odd_boxes(draw, offset):
    scores = (draw.rand(120) * 8).ceil() / 8
    return [
        t for m in ('naive', 'linear') for t in ops.soft_nms(odd_boxes(draw), scores, 0.4, method=m)
    ]


@case(('naive', 0), ('linear', 0), ('gaussian', 0), ('linear', 1))
def soft_nms(draw, method, offset):
    boxes, scores = draw.boxes(200), draw.rand(200)
    found = ops.soft_nms(boxes, scores, 0.3, 0.5, 0.05, method, offset)
    one = ops.soft_nms(boxes[:1], scores[:1], method=method)
    none = ops.soft_nms(boxes[:0], scores[:0], method=method)
    return [*found, *one, *none]


@case((0.3,), (0.6,))
def nms_match(draw, threshold):
    dets = torch.cat([draw.boxes(200), (draw.rand(200, 1) * 20).floor() / 20], 1)
    groups = ops.nms_match(dets, threshold)
    return [torch.cat(groups), torch.tensor([len(group) for group in groups])]


@case((0, 'iou', False), (1, 'iou', True), (0, 'iof', False), (1, 'iof', True))
def bbox_overlaps(draw, offset, mode, aligned):
    return [ops.bbox_overlaps(draw.boxes(40, 60), draw.boxes(40, 60), mode, aligned, offset)]


@case(
    (7, 1 / 8, 0, 'avg', True),
    (7, 1 / 4, 2, 'avg', True),
    (7, 1 / 8, 0, 'avg', False),
    (4, 1 / 4, 2, 'max', True),
    (4, 1 / 4, 0, 'max', False),
    ((3, 5), 1 / 16, 0, 'avg', True),
)
def roi_align(draw, size, scale, ratio, mode, aligned):
    maps = draw.randn(2, 4, 17, 23).requires_grad_()
    rois = draw.rois(14, 2)
    rois[0, 3:] = rois[0, 1:3]  # no size
    rois[1, 1:] -= 300  # outside
    rois[2, 1:] = torch.tensor([-50.0, -60, 400, 500])  # larger than the map
    rois[3, 1:] = torch.tensor([0.0, 0, 23 / scale, 17 / scale])
    found = ops.roi_align(maps, rois, size, scale, ratio, mode, aligned)
    return with_gradients(found, maps)


@case((True, True, 2), (False, False, 0), (True, False, 0))
def roi_align_rotated(draw, aligned, clockwise, ratio):
    maps = draw.randn(2, 4, 17, 23).requires_grad_()
    rois = torch.cat([(draw.rand(12, 1) * 2).floor(), draw.rotated(12)], 1)
    found = ops.roi_align_rotated(maps, rois, (3, 5), 0.5, ratio, aligned, clockwise)
    return with_gradients(found, maps)


@case((True, 0), (False, 2))
def bezier_align(draw, aligned, ratio):
    maps = draw.randn(2, 4, 17, 23).requires_grad_()
    points = torch.cat([(draw.rand(6, 1) * 2).floor(), draw.rand(6, 16) * 60], 1)
    return with_gradients(ops.bezier_align(maps, points, (3, 5), 0.5, ratio, aligned), maps)


@case((1,), (5,))
def rotated_feature_align(draw, points):
    maps = draw.randn(2, 4, 6, 7).requires_grad_()
    boxes = draw.rotated(2 * 6 * 7).view(2, 6, 7, 5)
    return with_gradients(ops.rotated_feature_align(maps, boxes, 0.125, points), maps)


@case(('iou', False), ('iof', False), ('iou', True))
def box_iou_rotated(draw, mode, aligned):
    a, b = draw.rotated(40), draw.rotated(40)
    b[:4] = a[:4]  # equal, shifted along a side, of no size, NaN
    b[1, 0] += 5
    b[2, 2] = 0
    b[3, 0] = torch.nan
    return [ops.box_iou_rotated(a, b, mode, aligned)]


@case()
def nms_rotated(draw):
    return list(ops.nms_rotated(draw.rotated(150), draw.rand(150), 0.3))


@case((1, 1, 1, 1, 1), (2, 0, 2, 2, 3), (1, 1, 1, 2, 1))
def deform_conv2d(draw, stride, padding, dilation, groups, deform_groups):
    images, kernels = draw.randn(2, 6, 9, 11), draw.randn(4, 6 // groups, 3, 3)
    side = [(n + 2 * padding - 2 * dilation - 1) // stride + 1 for n in (9, 11)]
    offset = draw.randn(2, 18 * deform_groups, *side) * 2
    offset[1] = 0  # whole cells, as at the beginning of a training
    tensors = [t.requires_grad_() for t in (images, offset, kernels)]
    found = ops.deform_conv2d(*tensors, stride, padding, dilation, groups, deform_groups)
    return with_gradients(found, *tensors)


@case((1, 1, 1, 1, 1), (2, 0, 2, 2, 3), (1, 1, 1, 2, 1))
def modulated_deform_conv2d(draw, stride, padding, dilation, groups, deform_groups):
    images, kernels = draw.randn(2, 6, 9, 11), draw.randn(4, 6 // groups, 3, 3)
    side = [(n + 2 * padding - 2 * dilation - 1) // stride + 1 for n in (9, 11)]
    offset = draw.randn(2, 18 * deform_groups, *side) * 2
    offset[1] = 0
    mask, bias = draw.rand(2, 9 * deform_groups, *side), draw.randn(4)
    tensors = [t.requires_grad_() for t in (images, offset, mask, kernels, bias)]
    found = ops.modulated_deform_conv2d(*tensors, stride, padding, dilation, groups, deform_groups)
    return with_gradients(found, *tensors)


@case(('collect',), ('distribute',))
def psa_mask(draw, kind):
    masks = draw.randn(2, 3 * 5, 4, 6).requires_grad_()
    return with_gradients(ops.PSAMask(kind, (3, 5))(masks), masks)


@case()
def active_rotated_filter(draw):
    filters = draw.randn(3, 2, 4, 3, 3).requires_grad_()
    indices = torch.stack([torch.from_numpy(draw.numbers.permutation(36)) for _ in range(8)], 1)
    indices = (indices + 1).view(4, 3, 3, 8).int()
    return with_gradients(ops.active_rotated_filter(filters, indices), filters)


if __name__ == '__main__':
    found = {name: results(name) for name in CASES if name not in UNSTABLE}
    np.savez_compressed(
        sys.argv[1], **{f'{name}/{i}': a for name, all in found.items() for i, a in enumerate(all)}
    )
