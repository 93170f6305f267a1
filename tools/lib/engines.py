"""Networks as files for other programs, and these read back as functions of images."""

import logging
import operator
import tempfile
from pathlib import Path

import torch

from lib.engine_graphs import (
    absorb_constants,
    axes_of,
    capture,
    capture_for_engines,
)
from lib.suppression import translations as of_suppression
from mmbackbones.operators.onnx import translations

for name in ('onnx_ir', 'onnxscript', 'torch.onnx'):  # which report all that they leave as it is
    logging.getLogger(name).setLevel(logging.ERROR)
OPSET = 20  # of ONNX, unless another is asked for
EXAMPLE = (2, 224, 288)  # images, height and width that a file for any size is made from
OF_WEIGHTS = {'Reshape', 'Slice', 'Squeeze', 'Transpose', 'Unsqueeze'}  # in another form, or part
SMALL = 256  # numbers: weights of fewer stay in float32 with --half
LIMIT = 2**31  # bytes, of an .onnx file; weights of more lie in a second one
OLDEST = '2.9'  # PyTorch whose exporter writes ONNX of free sizes without mistakes


def is_old():
    """Whether this PyTorch's exporter of ONNX fails with networks of ours."""
    return torch.__version__ < OLDEST


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


def write_onnx(net, image, path, free, opset, metadata=None):
    """A file of ONNX, of a network of ours or of one with our backbone in it."""
    graph = capture_for_engines(absorb_constants(net), image, free)
    translate(net, graph, path, free, opset, metadata)


def translate(net, graph, path, free, opset, metadata=None):
    """A file of ONNX, from the graph of a network, with texts by names as its metadata."""
    from onnxscript import opset18 as op

    def floor_divide(a, b):
        return op.Div(op.Sub(a, op.Mod(a, b)), b)  # ONNX rounds towards zero, Python down

    program = torch.onnx.export(
        graph,
        input_names=['image'],
        output_names=outputs_of(net),
        dynamic_shapes=(axes_of(net),) if free else None,
        opset_version=opset,
        custom_translation_table={
            operator.floordiv: floor_divide,
            **translations(),
            **of_suppression(),
        },
        verbose=False,
    )
    tidy(program.model)
    if getattr(net, 'stores_half', False):
        store_half(program.model)
    name_sizes(program.model, net)
    program.model.metadata_props.update(metadata or {})
    size = sum(value.const_value.nbytes for value in program.model.graph.initializers.values())
    program.save(path, external_data=size > LIMIT)


def tidy(model):
    """Make weights of what is computed from weights alone, and take out what only PyTorch reads.

    Quantisers look for weights, not for parts of them. What is computed from sizes, such as masks,
    stays computed: files are smaller so. Notes of PyTorch hold the paths of this machine, and
    shapes inside of a graph, which engines find themselves, called `-((-h)//8)`.
    """
    from onnx_ir.passes.common import ClearMetadataAndDocStringPass, RemoveUnusedNodesPass
    from onnxscript.optimizer import fold_constants_ir

    enter_constants(model)
    fold_constants_ir(
        model,
        output_size_limit=LIMIT,
        should_fold=lambda node: node.op_type in OF_WEIGHTS and node.inputs[0].is_initializer(),
    )
    ClearMetadataAndDocStringPass()(model)
    RemoveUnusedNodesPass()(model)
    outputs = set(model.graph.outputs)
    for node in model.graph.all_nodes():
        for value in node.outputs:
            if value not in outputs:
                value.shape = None


def store_half(model):
    """Store weights in float16, which engines read as float32."""
    import onnx_ir

    graph = model.graph
    for value in list(graph.initializers.values()):
        if value.dtype != onnx_ir.DataType.FLOAT or value.const_value.size < SMALL:
            continue
        numbers = value.const_value.numpy()
        if abs(numbers).max() > torch.finfo(torch.float16).max:
            continue
        half = onnx_ir.tensor(numbers.astype('float16'))
        stored = onnx_ir.Value(
            name=f'{value.name}_half', type=onnx_ir.TensorType(half.dtype), shape=value.shape,
            const_value=half,
        )  # fmt: skip
        del graph.initializers[value.name]
        graph.register_initializer(stored)
        node = onnx_ir.node('Cast', [stored], attributes=dict(to=onnx_ir.DataType.FLOAT))
        node.outputs[0].name = value.name
        value.replace_all_uses_with(node.outputs[0])
        graph.insert_before(graph[0], node)


def enter_constants(model):
    """Enter constants into the graph that onnxscript's optimizer leaves out.

    Of two limits of one value, as Deformable DETR has them, it enters those of the first.
    """
    known = model.graph.initializers
    for node in model.graph.all_nodes():
        for value in node.inputs:
            if value is None or value.const_value is None or value.producer():
                continue
            if known.get(value.name) is not value:
                value.name = f'{value.name}_of_{node.name}'
                model.graph.register_initializer(value)


def name_sizes(model, net):
    """Call the free sizes of outputs by names, where they are expressions of the input's.

    Engines take sizes of one name for equal: only the number of finds has the same in several.
    """
    counted = getattr(net, 'counted_outputs', ())
    for value in model.graph.outputs:
        sides = {len(value.shape) - 2: 'height', len(value.shape) - 1: 'width'}
        for axis, size in enumerate(value.shape):
            if not isinstance(size, int) and size.value not in axes_of(net).values():
                is_count = axis == 0 and value.name in counted
                value.shape[axis] = 'n' if is_count else f'{sides.get(axis, axis)}_{value.name}'


def write_onnx_as_it_is(net, image, path, opset):
    """A file of ONNX as PyTorch's exporter makes it of anybody's network, for this size alone."""
    torch.onnx.export(
        net,
        (image,),
        path,
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


def write_openvino(net, image, path, free, opset, metadata=None):
    """A file of OpenVINO, by way of ONNX: its own reader of torch.export mistakes free sizes."""
    import openvino

    with tempfile.TemporaryDirectory() as folder:
        onnx = str(Path(folder, 'net.onnx'))
        write_onnx(net, image, onnx, free, opset)
        # convert_model would compute masks, which compiling does again, and write them down.
        model = openvino.Core().read_model(onnx)
        for name, text in (metadata or {}).items():
            model.set_rt_info(text, [name, 'metadata'])
        openvino.save_model(model, path, compress_to_fp16=False)  # what is half, is so already


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


def compile_as_usual(path):
    """Compile a file of OpenVINO as it is compiled without settings; an error if it fails."""
    import openvino

    openvino.compile_model(path, 'CPU')


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
