"""Networks as engines run them fastest: weights that absorb constants, graphs with fewer copies.

An engine on a CPU multiplies matrices at nearly the machine's rate; what differs is the rest, which
is what the rewrites below shorten. Results stay the same: the tools compare every file with the
network it was made of. Gains are of time at 448 x 672 on 2 cores, ours without over ours with.
"""

import copy
import operator

import torch
import torch.nn.functional as F
from torch import nn
from torch.export import Dim
from torch.fx.experimental import _config as tracing
from torch.overrides import TorchFunctionMode

from mmbackbones import fuse_conv_bn
from mmbackbones.backbone import Backbone
from mmbackbones.layers import Attention, WindowAttention
from mmbackbones.layers.attention import probabilities
from mmbackbones.models.container import averages
from mmbackbones.models.davit import ChannelAttention
from mmbackbones.models.volo import OutlookAttention

# If PyTorch's private parts move, export.py cannot start: the setting under which sizes from 1 up
# are free, and the operators that check sizes in a graph.
AXES = {0: 'batch', 2: 'height', 3: 'width'}  # of an image, that may be free
aten = torch.ops.aten
TO_FIRST, TO_LAST = [0, 3, 1, 2], [0, 2, 3, 1]  # (B, H, W, C) -> (B, C, H, W), and back
ELEMENTWISE = {
    aten.add.Tensor,
    aten.gelu.default,
    aten.mul.Tensor,
    aten.relu.default,
    aten.rsub.Scalar,
    aten.sigmoid.default,
    aten.silu.default,
}
CHECKS = {
    aten._assert_scalar.default,
    aten._assert_tensor_metadata.default,
    aten.sym_constrain_range.default,
    aten.sym_constrain_range_for_size.default,
}
WITHOUT_EFFECT = {aten.clone.default, aten.contiguous.default, aten.detach.default}


# --- weights


class Constant(nn.Module):
    """A module without parameters that always gives the same tensor."""

    def __init__(self, value):
        super().__init__()
        self.register_buffer('value', value)

    def forward(self):
        return self.value


def absorb_constants(net):
    """A copy for inference: batch norms, scales of logits and tables of biases become weights."""
    net = copy.deepcopy(net).eval().requires_grad_(False)
    for backbone in [module for module in net.modules() if isinstance(module, Backbone)]:
        fuse_conv_bn(backbone)
        for module in backbone.modules():
            if isinstance(module, OutlookAttention):
                scale_outputs(module.attn, module.scale)
                module.scale = 1.0
            elif isinstance(module, Attention) and not isinstance(module, ChannelAttention):
                absorb_scale(module)
            if isinstance(module, WindowAttention) and module.bias is not None:
                module.bias = Constant(module.bias().clone(memory_format=torch.contiguous_format))
    return net


def absorb_scale(attention):
    """Make the scale of the logits part of what gives the queries."""
    dim = attention.qkv.out_features // 3
    if attention.scale is None:
        scale_outputs(attention.qkv, (dim // attention.num_heads) ** -0.5, dim)
        attention.scale = 1.0


def scale_outputs(linear, scale, count=None):
    """Scale the first `count` outputs of a linear layer, or all."""
    linear.weight[:count] *= scale
    if linear.bias is not None:
        linear.bias[:count] *= scale


# --- capture


class InOrder(TorchFunctionMode):
    """Makes inputs contiguous where an operation would ask for their strides, and expands masks.

    In a graph for every size the answer would depend on whether a size is 1, which is not known.
    Adaptive average pooling, which exporters lack for free sizes, becomes matrix products.
    """

    layers = (torch.conv2d, torch.conv_transpose2d, F.linear)
    views = (torch.Tensor.contiguous, torch.Tensor.flatten, torch.Tensor.reshape)

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func in self.layers + self.views:
            args = (args[0].clone(memory_format=torch.contiguous_format), *args[1:])
        if func is F.scaled_dot_product_attention and args[3] is not None:
            args = (*args[:3], args[3].expand(args[0].shape[0], -1, -1, -1))
        if func is F.adaptive_avg_pool2d and isinstance(args[1], int):
            return averages(*args)
        return func(*args, **(kwargs or {}))


class InParts(InOrder):
    """As `InOrder`, with attention as matrix products and a softmax, which engines fuse again.

    Bicubic resizing becomes a product with the weights of rows and one with those of columns: 5 %
    for VOLO in onnxruntime, where files for any size resize its position embedding.
    """

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func is F.scaled_dot_product_attention:
            q, k, v, mask = args
            return probabilities(q, k, mask, kwargs.get('scale')) @ v
        size = kwargs.get('size')
        if func is F.interpolate and kwargs['mode'] == 'bicubic' and isinstance(size, tuple):
            weights = [
                weights_of_resizing(old, new, args[0].dtype, kwargs)
                for old, new in zip(args[0].shape[2:], size, strict=True)
            ]
            return weights[0] @ args[0] @ weights[1].mT
        return super().__torch_function__(func, types, args, kwargs)


def weights_of_resizing(old, new, dtype, options):
    """(new, old): the weights by which `F.interpolate` makes a side of `new` numbers from `old`."""
    image = torch.eye(old, dtype=dtype)[None, None]
    return F.interpolate(image, **options | dict(size=(new, old)))[0, 0]


def axes_of(net):
    """Which axes of a network's input may be free, and what they are called."""
    return getattr(net, 'axes', AXES)


def capture(net, image, free, mode=InOrder):
    """The graph of torch.export, for images like this one or, if `free`, of any number and size."""
    # A size of the example that happens to be 1 somewhere says nothing about other images.
    settings = dict(backed_size_oblivious=True)
    if not hasattr(tracing, 'backed_size_oblivious'):  # as in PyTorch 2.6
        settings = {}
    with mode(), tracing.patch(**settings), torch.no_grad():
        shapes = (dict.fromkeys(axes_of(net), Dim.DYNAMIC),) if free else None
        return torch.export.export(net, (image,), dynamic_shapes=shapes, strict=False)


def capture_for_engines(net, image, free):
    """The same, rewritten; the network is one of `absorb_constants`."""
    program = capture(net, image, free, InParts)
    graph = program.graph_module.graph
    drop_checks(graph)
    drop_copies(graph)
    split_projections(graph)
    graph.eliminate_dead_code()
    norms, convolutions = calls(graph, aten.layer_norm.default), calls(graph, aten.conv2d.default)
    # With free sizes engines really carry out each permutation, and norms need (B, H, W, C).
    channels_first(graph, permute_others=not free or len(convolutions) > len(norms))
    flatten_norms(graph)
    flatten_linears(graph)
    graph.eliminate_dead_code()
    program.graph_module.recompile()
    return program


# --- rewriting: each node keeps in meta['val'] a tensor without data that tells its shape
# onnxscript.rewriter would do it in ONNX by patterns, but `channels_first` follows maps through a
# whole graph, and free sizes of new nodes, which operators tell here, would have to be inferred.


def calls(graph, *targets):
    """The nodes that call one of these operators."""
    return [node for node in graph.nodes if node.op == 'call_function' and node.target in targets]


def value(node):
    """What a node gives: a tensor without data, or a number."""
    return node.meta['val'] if isinstance(node, torch.fx.Node) else node


def insert(graph, target, *args, **kwargs):
    """A new node that calls an operator."""
    node = graph.call_function(target, args, kwargs)
    known = torch.fx.map_arg((args, kwargs), value)
    node.meta['val'] = target(*known[0], **known[1])
    return node


def insert_sizes(graph, node, axes):
    """Sizes of what a node gives: numbers, or nodes where they are free."""
    shape = value(node).shape
    return [
        insert(graph, aten.sym_size.int, node, axis)
        if isinstance(shape[axis], torch.SymInt)
        else shape[axis]
        for axis in axes
    ]


def drop_checks(graph):
    """Remove what checks sizes: no engine does, and bounds of 2**65 are no numbers of ONNX."""
    for node in calls(graph, *CHECKS):
        graph.erase_node(node)
    graph.eliminate_dead_code()


def drop_copies(graph):
    """Remove what changes strides only, or nothing."""
    for node in calls(graph, *WITHOUT_EFFECT, aten.to.dtype, aten.type_as.default):
        if value(node).dtype == value(node.args[0]).dtype:
            node.replace_all_uses_with(node.args[0])
    for node in calls(graph, aten.mul.Tensor):
        if node.args[1] == 1:
            node.replace_all_uses_with(node.args[0])


def split_projections(graph):
    """Queries, keys and values from three linear layers, with no copies of parts: 2 to 5 %."""
    for chunk in calls(graph, aten.chunk.default):
        linear, count = chunk.args[:2]
        axis = chunk.args[2] if len(chunk.args) > 2 else 0
        rank = value(linear).dim()
        if linear.target is not aten.linear.default or axis % rank != rank - 1:
            continue
        for part in [user for user in chunk.users if user.target is operator.getitem]:
            with graph.inserting_before(part):
                # As torch.chunk: parts of one size, but for the last.
                size = -(-value(linear.args[1]).shape[0] // count)
                ends = part.args[1] * size, (part.args[1] + 1) * size
                learned = [
                    insert(graph, aten.slice.Tensor, parameter, 0, *ends)
                    for parameter in linear.args[1:]
                    if parameter is not None
                ]
                own = graph.call_function(aten.linear.default, (linear.args[0], *learned))
                own.meta['val'] = value(part)
            part.replace_all_uses_with(own)


def flatten_norms(graph):
    """Layer norms of (B, H * W, C), for which OpenVINO has a kernel: 1 to 10 % there.

    Maps (B, C, H, W) that have other readers too stay as they are: OpenVINO cannot flatten them in
    bfloat16, its default where the processor has it.
    """
    for norm in calls(graph, aten.layer_norm.default):
        x = norm.args[0]
        shared = x.target is aten.permute.default and len(x.args[0].users) > 1
        if value(x).dim() == 4 and not shared:
            with graph.inserting_before(norm):
                flat = insert(graph, aten.flatten.using_ints, x, 1, 2)
                flat = insert(graph, norm.target, flat, *norm.args[1:])
                sizes = insert_sizes(graph, x, (1, 2))
                norm.replace_all_uses_with(insert(graph, aten.unflatten.int, flat, 1, sizes))


def flatten_linears(graph):
    """Linear layers of (tokens, C), for which onnxruntime adds the bias in Gemm: 4 to 8 % there."""
    for linear in calls(graph, aten.linear.default):
        x, *learned = linear.args
        rank = value(x).dim()
        if rank > 2 and isinstance(value(x).shape[-1], int):
            with graph.inserting_before(linear):
                sizes = insert_sizes(graph, x, range(rank - 1))
                flat = insert(graph, aten.reshape.default, x, [-1, value(x).shape[-1]])
                flat = insert(graph, linear.target, flat, *learned)
                shape = [*sizes, value(flat).shape[-1]]
                linear.replace_all_uses_with(insert(graph, aten.reshape.default, flat, shape))


def channels_first(graph, permute_others):
    """What follows a convolution stays in (B, C, H, W) until something needs (B, H, W, C).

    Linear layers become 1 x 1 convolutions there. With `permute_others`, so does a map of
    (B, H, W, C) that is added to one of (B, C, H, W); else the sum is one of (B, H, W, C). It gains
    20 % for MaxViT and 11 % for CONTAINER in OpenVINO.
    """
    first = {}  # (B, H, W, C) -> the same in (B, C, H, W)

    def replace(node, new):
        last = insert(graph, aten.permute.default, new, TO_LAST)
        node.replace_all_uses_with(last)
        first[last] = new

    def permuted(node):
        if node not in first:
            first[node] = insert(graph, aten.permute.default, node, TO_FIRST)
        return first[node]

    for node in [node for node in graph.nodes if node.op == 'call_function']:
        args, target = node.args, node.target
        with graph.inserting_before(node):
            if target is aten.permute.default and list(args[1]) == TO_LAST:
                first[node] = args[0]
            elif target is aten.permute.default and list(args[1]) == TO_FIRST and args[0] in first:
                node.replace_all_uses_with(first[args[0]])
            elif target is aten.linear.default and args[0] in first:
                kernel = insert(graph, aten.reshape.default, args[1], [*value(args[1]).shape, 1, 1])
                replace(node, insert(graph, aten.conv2d.default, first[args[0]], kernel, *args[2:]))
            elif target is aten.mean.dim and args[0] in first and list(args[1:]) == [[1, 2], True]:
                replace(node, insert(graph, target, first[args[0]], [2, 3], True))
            elif target in ELEMENTWISE:
                maps = [arg for arg in args if isinstance(arg, torch.fx.Node)]
                are_first = [m in first for m in maps]
                wanted = any(are_first) if permute_others else all(are_first)
                if wanted and all(value(m).dim() == 4 for m in maps):
                    new = [permuted(arg) if arg in maps else arg for arg in args]
                    replace(node, insert(graph, target, *new, **node.kwargs))
