"""Operators as single nodes of `torch.compile`'s graphs, which cannot follow their loops.

Outside of a graph the functions are called as they are, and while a model is exported too: there
they must become standard operators.
"""

import re
from functools import wraps

import torch

CONV = 'int kW, int kH, int dW, int dH, int padW, int padH, int dilationW, int dilationH'
MASKED_CONV = (
    'int kernel_h, int kernel_w, int stride_h, int stride_w, int pad_h, int pad_w, '
    'int dilation_h, int dilation_w, int group, int deformable_group, bool with_bias'
)
ALIGN = (
    'int aligned_height, int aligned_width, float spatial_scale, int sampling_ratio, '
    'int pool_mode, bool aligned'
)
SCHEMAS = {
    'nms': '(Tensor boxes, Tensor scores, float iou_threshold, int offset) -> Tensor',
    'roi_align_forward': (
        '(Tensor input, Tensor rois, Tensor(a!) output, Tensor(b!) argmax_y, Tensor(c!) argmax_x, '
        f'{ALIGN}) -> ()'
    ),
    'roi_align_backward': (
        '(Tensor grad_output, Tensor rois, Tensor argmax_y, Tensor argmax_x, '
        f'Tensor(a!) grad_input, {ALIGN}) -> ()'
    ),
    'ms_deform_attn_forward': (
        '(Tensor value, Tensor value_spatial_shapes, Tensor value_level_start_index, '
        'Tensor sampling_locations, Tensor attention_weights, int im2col_step) -> Tensor'
    ),
    'ms_deform_attn_backward': (
        '(Tensor value, Tensor value_spatial_shapes, Tensor value_level_start_index, '
        'Tensor sampling_locations, Tensor attention_weights, Tensor grad_output, '
        'Tensor(a!) grad_value, Tensor(b!) grad_sampling_loc, Tensor(c!) grad_attn_weight, '
        'int im2col_step) -> ()'
    ),
    'deform_conv_forward': (
        '(Tensor input, Tensor weight, Tensor offset, Tensor(a!) output, Tensor columns, '
        f'Tensor ones, {CONV}, int group, int deformable_group, int im2col_step) -> ()'
    ),
    'deform_conv_backward_input': (
        '(Tensor input, Tensor offset, Tensor grad_output, Tensor(a!) grad_input, '
        f'Tensor(b!) grad_offset, Tensor weight, Tensor columns, {CONV}, int group, '
        'int deformable_group, int im2col_step) -> ()'
    ),
    'deform_conv_backward_parameters': (
        '(Tensor input, Tensor offset, Tensor grad_output, Tensor(a!) grad_weight, '
        f'Tensor columns, Tensor ones, {CONV}, int group, int deformable_group, float scale, '
        'int im2col_step) -> ()'
    ),
    'modulated_deform_conv_forward': (
        '(Tensor input, Tensor weight, Tensor bias, Tensor ones, Tensor offset, Tensor mask, '
        f'Tensor(a!) output, Tensor columns, {MASKED_CONV}) -> ()'
    ),
    'modulated_deform_conv_backward': (
        '(Tensor input, Tensor weight, Tensor bias, Tensor ones, Tensor offset, Tensor mask, '
        'Tensor columns, Tensor(a!) grad_input, Tensor(b!) grad_weight, Tensor(c!) grad_bias, '
        f'Tensor(d!) grad_offset, Tensor(e!) grad_mask, Tensor grad_output, {MASKED_CONV}) -> ()'
    ),
}


def as_node(function):
    """A function that is one node in a graph that is compiled, and itself everywhere else."""
    name = function.__name__
    schema = SCHEMAS[name]
    arguments = re.findall(r'(\w+)(?=, |\) ->)', schema)

    def by_name(*values):
        return function(**dict(zip(arguments, values, strict=True)))

    written = re.findall(r'Tensor\(\w!\) (\w+)', schema)
    node = torch.library.custom_op(
        f'mmbackbones::{name}', by_name, mutates_args=written, schema=schema
    )
    if name in SHAPES:
        node.register_fake(SHAPES[name])

    @wraps(function)
    def call(*args, **kwargs):
        in_graph = torch.compiler.is_compiling() and not is_exporting()
        return (node if in_graph else function)(*args, **kwargs)

    return call


def is_exporting():
    """Whether a model is exported, which PyTorch 2.6 cannot say."""
    return getattr(torch.compiler, 'is_exporting', bool)()


def some_boxes(boxes, scores, iou_threshold, offset):
    """The shape of what `nms` returns: nobody knows how many are kept."""
    return boxes.new_empty(torch.library.get_ctx().new_dynamic_size(), dtype=torch.long)


def attended(value, value_spatial_shapes, value_level_start_index, sampling_locations, *others):
    """The shape of what `ms_deform_attn_forward` returns."""
    return value.new_empty(value.shape[0], sampling_locations.shape[1], value[0, 0].numel())


SHAPES = {'nms': some_boxes, 'ms_deform_attn_forward': attended}
