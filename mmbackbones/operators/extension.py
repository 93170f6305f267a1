"""What stands in for `mmcv._ext`: the operators that have a plain version, and what names the rest.

`mmcv.ops` asks its extension for names and calls what it gets; a name that has no plain version
is a function that raises.
"""

import logging

from . import boxes, deformable, elementwise, losses, roi, rotated_boxes, sampled_roi, windows
from .graphs import kernel

OPERATORS = {
    boxes: 'bbox_overlaps nms nms_match softnms',
    rotated_boxes: 'box_iou_rotated nms_rotated',
    roi: 'roi_align_forward roi_align_backward prroi_pool_forward prroi_pool_backward',
    sampled_roi: (
        'roi_pool_forward roi_pool_backward roi_align_rotated_forward roi_align_rotated_backward '
        'riroi_align_rotated_forward riroi_align_rotated_backward bezier_align_forward '
        'bezier_align_backward border_align_forward border_align_backward deform_roi_pool_forward '
        'deform_roi_pool_backward rotated_feature_align_forward rotated_feature_align_backward'
    ),
    losses: (
        'sigmoid_focal_loss_forward sigmoid_focal_loss_backward softmax_focal_loss_forward '
        'softmax_focal_loss_backward'
    ),
    deformable: (
        'ms_deform_attn_forward ms_deform_attn_backward deform_conv_forward '
        'deform_conv_backward_input deform_conv_backward_parameters modulated_deform_conv_forward '
        'modulated_deform_conv_backward'
    ),
    windows: (
        'carafe_forward carafe_backward carafe_naive_forward carafe_naive_backward '
        'psamask_forward psamask_backward masked_im2col_forward masked_col2im_forward '
        'active_rotated_filter_forward active_rotated_filter_backward'
    ),
    elementwise: (
        'sync_bn_forward_mean sync_bn_forward_var sync_bn_forward_output sync_bn_backward_param '
        'sync_bn_backward_data fused_bias_leakyrelu upfirdn2d'
    ),
}
FUNCTIONS = {n: getattr(theme, n) for theme, names in OPERATORS.items() for n in names.split()}
PLAIN = {name: kernel(function) for name, function in FUNCTIONS.items()} | {'nms': boxes.nms}
# (nms is a node of graphs as it is.)
globals().update(PLAIN)
__all__ = [*PLAIN, '__getattr__', 'get_compiler_version', 'get_compiling_cuda_version']


def get_compiler_version():
    """What mmcv reports instead of a compiler."""
    return 'none: operators in plain PyTorch, of mmbackbones'


def get_compiling_cuda_version():
    """What mmcv reports instead of a CUDA."""
    return 'not available'


def __getattr__(name):
    """A function that says that an operator has no plain version."""
    if name.startswith('_'):
        raise AttributeError(name)

    def missing(*args, **kwargs):
        raise NotImplementedError(
            f"mmcv's operator {name} has no version in plain PyTorch; a compiled mmcv has it, and "
            '`python -m mmbackbones doctor` says how to build one'
        )

    missing.__name__ = name
    return missing


# Not to mmengine's log: it may begin here, where tools let mm print nothing, and stay silent.
logging.getLogger('mmbackbones').warning(
    "mmcv has no compiled operators: mmbackbones' in plain PyTorch are used"
)
