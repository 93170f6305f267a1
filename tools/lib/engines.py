"""Networks as files for other programs, and these read back as functions of images."""

import logging
import operator
import tempfile
from pathlib import Path

import torch

from lib.engine_graphs import (
    AXES,
    absorb_constants,
    capture,
    capture_for_engines,
)

for name in ('onnxscript', 'torch.onnx'):  # which report all that they leave as it is
    logging.getLogger(name).setLevel(logging.ERROR)
OPSET = 20  # of ONNX, unless another is asked for
EXAMPLE = (2, 224, 288)  # images, height and width that a file for any size is made from
OF_WEIGHTS = {'Reshape', 'Slice', 'Transpose'}  # of ONNX: the same numbers, or part of them
LIMIT = 2**31  # bytes, of an .onnx file; weights of more lie in a second one


def outputs_of(net):
    """What a network's outputs are called in a file."""
    names = getattr(net, 'output_names', None)
    return names or [f'stride{stride}' for stride in net.out_strides]


def write_program(net, image, path, free, opset):
    """A file of torch.export."""
    torch.export.save(capture(net, image, free), path)


def read_program(path):
    """A function of images."""
    return torch.export.load(path).module()


def write_script(net, image, path, free, opset):
    """A file of TorchScript: sizes stay tensors in a trace, so it holds for all of them."""
    torch.jit.trace(net, image, check_trace=False).save(path)


def write_onnx(net, image, path, free, opset):
    """A file of ONNX, of a network of ours or of one with our backbone in it."""
    translate(net, capture_for_engines(absorb_constants(net), image, free), path, free, opset)


def translate(net, graph, path, free, opset):
    """A file of ONNX, from the graph of a network."""
    from onnxscript import opset18 as op

    def floor_divide(a, b):
        return op.Div(op.Sub(a, op.Mod(a, b)), b)  # ONNX rounds towards zero, Python down

    program = torch.onnx.export(
        graph,
        input_names=['image'],
        output_names=outputs_of(net),
        dynamic_shapes=(AXES,) if free else None,
        opset_version=opset,
        custom_translation_table={operator.floordiv: floor_divide},
        verbose=False,
    )
    fold_weights(program.model)
    program.save(path, external_data=sum(p.nbytes for p in net.state_dict().values()) > LIMIT)


def fold_weights(model):
    """Make weights of what is cut or reshaped of weights: quantisers look for no others.

    What is computed from an image's size, such as masks, stays computed: files are smaller so.
    """
    from onnx_ir.passes.common import RemoveUnusedNodesPass
    from onnxscript.optimizer import fold_constants_ir

    fold_constants_ir(
        model,
        output_size_limit=LIMIT,
        should_fold=lambda node: node.op_type in OF_WEIGHTS and node.inputs[0].is_initializer(),
    )
    RemoveUnusedNodesPass()(model)


def write_onnx_as_it_is(net, image, path, opset):
    """A file of ONNX as PyTorch's exporter makes it of anybody's network, for this size alone."""
    torch.onnx.export(
        *(net, (image,), path),
        input_names=['image'],
        opset_version=opset,
        external_data=False,
        dynamo=True,
        verbose=False,
    )


def read_onnx(path, threads=None):
    """A function of images that onnxruntime runs."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or torch.get_num_threads()
    session = onnxruntime.InferenceSession(path, options, providers=['CPUExecutionProvider'])
    return lambda image: list(map(torch.from_numpy, session.run(None, {'image': image.numpy()})))


def write_openvino(net, image, path, free, opset):
    """A file of OpenVINO, by way of ONNX: its own reader of torch.export mistakes free sizes."""
    import openvino

    with tempfile.TemporaryDirectory() as folder:
        onnx = str(Path(folder, 'net.onnx'))
        write_onnx(net, image, onnx, free, opset)
        half = image.dtype == torch.float16
        # convert_model would compute masks, which compiling does again, and write them down.
        openvino.save_model(openvino.Core().read_model(onnx), path, compress_to_fp16=half)


def read_openvino(path, threads=None):
    """A function of images that OpenVINO runs, in float32 wherever the file has no other."""
    import openvino

    settings = dict(
        INFERENCE_NUM_THREADS=threads or torch.get_num_threads(),
        INFERENCE_PRECISION_HINT='f32',  # it would take bfloat16 where the processor has it
        PERFORMANCE_HINT='LATENCY',
    )
    request = openvino.compile_model(path, 'CPU', settings).create_infer_request()

    def run(image):
        outputs = request.infer([image.numpy()]).values()
        return [torch.from_numpy(output.copy()) for output in outputs]

    return run


FORMATS = {  # name: (ending, how to write, how to read)
    'onnx': ('.onnx', write_onnx, read_onnx),
    'openvino': ('.xml', write_openvino, read_openvino),
    'torch-export': ('.pt2', write_program, read_program),
    'torchscript': ('.ts', write_script, torch.jit.load),
}
NEEDED = {
    'onnx': ('onnx', 'onnxscript', 'onnxruntime'),
    'openvino': ('onnx', 'onnxscript', 'openvino'),
}
