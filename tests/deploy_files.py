"""Tiny files in the layout of tools/export.py, whose outputs are known."""

import json

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

TYPES = {'float32': TensorProto.FLOAT, 'int64': TensorProto.INT64, 'int32': TensorProto.INT32}
TYPES |= {'bool': TensorProto.BOOL, 'uint8': TensorProto.UINT8}
CLASSES = ['cat', 'dog', 'bird']
FOUND = dict(
    boxes=np.array([[10, 20, 60, 50], [0, 0, 5, 5]], np.float32),
    scores=np.array([0.9, 0.2], np.float32),
    labels=np.array([1, 2]),
)


def description(**changes):
    """What tools/export.py says of a detector in a file."""
    settings = dict(
        format=1, task='detection', masks='none', classes=CLASSES, palette=[[255, 0, 0]]
    )
    settings.update(mean=[123.675, 116.28, 103.53], std=[58.4, 57.1, 57.4], channels='rgb')
    settings['resize'] = dict(scale=[120, 80], keep_ratio=True, interpolation='bilinear')
    settings.update(size_divisor=32, score_threshold=0.05, size=None)
    return settings | dict(config='tiny', model='RetinaNet', versions={}) | changes


def write(path, outputs, nodes=(), text=None, batch=None, **changes):
    """A file that gives arrays, or what nodes make of the image; its path.

    Args:
        path: Where to.
        outputs: {name: array}, or {name: (type, shape)} of what the nodes compute.
        nodes: Of ONNX.
        text: The description, instead of one with changes.
        batch: How many pictures go in together [one, without an axis].
        **changes: To the description.
    """
    shape = ['height', 'width', 3] if batch is None else [batch, 'height', 'width', 3]
    image = helper.make_tensor_value_info('image', TensorProto.UINT8, shape)
    values, made = [], list(nodes)
    for name, value in outputs.items():
        if isinstance(value, np.ndarray):
            constant = numpy_helper.from_array(value)
            made.append(helper.make_node('Constant', [], [name], value=constant))
            value = (value.dtype.name, value.shape)
        values.append(helper.make_tensor_value_info(name, TYPES[value[0]], value[1]))
    graph = helper.make_graph(made, 'tiny', [image], values)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 20)], ir_version=9)
    if text is None:
        text = json.dumps(description(batch=batch or 1, **changes))
    if text:
        helper.set_model_props(model, {'mmbackbones': text})
    onnx.save(model, path)
    return path


def write_segmenter(path, with_scores=False, **changes):
    """A file whose classes are the amounts of red, and whose scores are the colours."""
    nodes = [
        helper.make_node('Constant', [], ['red'], value_int=0),
        helper.make_node('Gather', ['image', 'red'], ['classes'], axis=2),
    ]
    outputs = dict(classes=('uint8', ['height', 'width']))
    if with_scores:
        nodes += [
            helper.make_node('Cast', ['image'], ['numbers'], to=TensorProto.FLOAT),
            helper.make_node('Transpose', ['numbers'], ['scores'], perm=[2, 0, 1]),
        ]
        outputs['scores'] = ('float32', [3, 'height', 'width'])
    return write(path, outputs, nodes, task='semantic', **changes)
