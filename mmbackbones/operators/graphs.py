"""Operators in the graphs of `torch.compile`, which none of them breaks.

Whose loops depend on numbers is one node of a graph, a custom operator. Of the others only the
gradients, which autograd computes, need a word: they are not looked into before all is traced.
Outside of a graph all are called as they are, and while a model is exported too: there they must
become standard operators.
"""

import re
from functools import wraps

import torch

ALIGN = (
    'int aligned_height, int aligned_width, float spatial_scale, int sampling_ratio, '
    'int pool_mode, bool aligned'
)
NODES = {
    'nms': '(Tensor boxes, Tensor scores, float iou_threshold, int offset) -> Tensor',
    'roi_align_forward': (
        '(Tensor input, Tensor rois, Tensor(a!) output, Tensor(b!) argmax_y, Tensor(c!) argmax_x, '
        f'{ALIGN}) -> ()'
    ),
    'roi_align_backward': (
        '(Tensor grad_output, Tensor rois, Tensor argmax_y, Tensor argmax_x, '
        f'Tensor(a!) grad_input, {ALIGN}) -> ()'
    ),
}
TRACED = (
    'ms_deform_attn_forward', 'ms_deform_attn_backward', 'deform_conv_forward',
    'deform_conv_backward_input', 'deform_conv_backward_parameters',
    'modulated_deform_conv_forward', 'modulated_deform_conv_backward', 'carafe_forward',
    'carafe_backward', 'carafe_naive_forward', 'carafe_naive_backward',
)  # fmt: skip


def in_graphs(operators):
    """Operators by name, of which those that would break a graph do not."""
    nodes = {name: as_node(operators[name], schema) for name, schema in NODES.items()}
    traced = {name: torch.compiler.allow_in_graph(operators[name]) for name in TRACED}
    return operators | nodes | traced


def as_node(function, schema):
    """A function that is one node in a graph that is compiled, and itself everywhere else."""
    name = function.__name__
    arguments = re.findall(r'(\w+)(?=, |\) ->)', schema)

    def by_name(*values):
        return function(**dict(zip(arguments, values, strict=True)))

    written = re.findall(r'Tensor\(\w!\) (\w+)', schema)
    node = torch.library.custom_op(
        f'mmbackbones::{name}', by_name, mutates_args=written, schema=schema
    )
    if name == 'nms':
        node.register_fake(some_boxes)

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
