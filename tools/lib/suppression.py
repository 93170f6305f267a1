"""Non-maximum suppression that ends with the last box wanted, as a node of graphs and in ONNX."""

import torch

from mmbackbones.operators.boxes import nms, some_indices
from mmbackbones.operators.graphs import node


@node('(Tensor boxes, Tensor scores, float iou_threshold, int limit) -> Tensor', some_indices)
def nms_up_to(boxes, scores, iou_threshold, limit):
    """Indices of the boxes (N, 4) that are kept, by falling scores, at most `limit`."""
    return nms(boxes, scores, iou_threshold, 0)[:limit].clone()


def translations():
    """What `torch.onnx.export(..., custom_translation_table=...)` is to be given besides."""
    from onnxscript import opset18 as op

    def nms_up_to(boxes, scores, iou_threshold: float, limit: int):
        found = op.NonMaxSuppression(
            op.Unsqueeze(boxes, [0]),
            op.Unsqueeze(scores, [0, 1]),
            op.Constant(value_ints=[limit]),
            op.Constant(value_floats=[iou_threshold]),
        )
        return op.Squeeze(op.Slice(found, [2], [3], [1]), [1])

    return {torch.ops.mmbackbones.nms_up_to.default: nms_up_to}
