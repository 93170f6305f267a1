"""Non-maximum suppression that ends with the last box wanted, as a node of graphs and in ONNX."""

from mmbackbones.operators.boxes import nms, some_indices
from mmbackbones.operators.graphs import node
from mmbackbones.operators.onnx import kept_boxes, node_of


@node('(Tensor boxes, Tensor scores, float iou_threshold, int limit) -> Tensor', some_indices)
def nms_up_to(boxes, scores, iou_threshold, limit):
    """Indices of the boxes (N, 4) that are kept, by falling scores, at most `limit`."""
    return nms(boxes, scores, iou_threshold, 0)[:limit].clone()


def translations():
    """What `torch.onnx.export(..., custom_translation_table=...)` is to be given besides."""

    def suppress(boxes, scores, iou_threshold: float, limit: int):
        return kept_boxes(boxes, scores, iou_threshold, limit)

    return {node_of(nms_up_to): suppress}
