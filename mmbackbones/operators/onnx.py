"""The operators that are nodes of an exported graph, as standard operators of ONNX."""

from typing import Any

import torch

from .boxes import nms
from .roi import roi_align


def translations():
    """The table for `torch.onnx.export(..., dynamo=True, custom_translation_table=...)`."""
    import onnxscript

    op: Any = onnxscript.opset18

    def align(maps, rois, size, spatial_scale: float, sampling_ratio: int, aligned: bool):
        image = op.Cast(op.Squeeze(op.Slice(rois, [0], [1], [1]), [1]), to=7)
        return op.RoiAlign(
            maps, op.Slice(rois, [1], [5], [1]), image, mode='avg', output_height=size[0],
            output_width=size[1], sampling_ratio=max(0, sampling_ratio),
            coordinate_transformation_mode='half_pixel' if aligned else 'output_half_pixel',
            spatial_scale=spatial_scale,
        )  # fmt: skip

    def suppress(boxes, scores, iou_threshold: float, offset: int):
        if offset:
            raise ValueError('ONNX has no non-maximum suppression with an offset of 1')
        return kept_boxes(boxes, scores, iou_threshold, 2**31)

    return {node_of(roi_align): align, node_of(nms): suppress}


def kept_boxes(boxes, scores, iou_threshold, limit):
    """ONNX's suppression among boxes of one class: indices by falling scores, at most `limit`."""
    import onnxscript

    op: Any = onnxscript.opset18
    found = op.NonMaxSuppression(
        op.Unsqueeze(boxes, [0]),
        op.Unsqueeze(scores, [0, 1]),
        op.Constant(value_ints=[limit]),
        op.Constant(value_floats=[iou_threshold]),
    )
    return op.Squeeze(op.Slice(found, [2], [3], [1]), [1])


def node_of(function):
    """The operator that stands for a function in a graph."""
    return getattr(torch.ops.mmbackbones, function.__name__).default
