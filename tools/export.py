"""Write a backbone as a file for other programs, for images of any height, width and number.

onnx runs in onnxruntime, torch-export (.pt2) and torchscript (.ts, deprecated in PyTorch) in
PyTorch without this package. The file is read back and compared with the backbone at other sizes
and numbers of images than it was made from. Images must be as in training: normalised already.
"""

import copy
import logging
import operator
import sys
import time
import warnings
from importlib.util import find_spec
from pathlib import Path

import torch
from lib.arguments import add_cfg_options, build_backbone, make_parser, shape
from rich.console import Console
from rich.table import Table
from torch.export import Dim
from torch.fx.experimental import _config as tracing
from torch.overrides import TorchFunctionMode

from mmbackbones import fuse_conv_bn

OTHERS = ((1, 61, 97), (3, 128, 224), (2, 265, 190), (1, 20, 33))  # (images, height, width)
TOLERANCE = 1e-3  # of an output's standard deviation
AXES = {0: 'batch', 2: 'height', 3: 'width'}  # that are free
LIMIT = 2**31  # bytes, of an .onnx file; weights of more lie in a second one
NEEDED = ('onnx', 'onnxscript', 'onnxruntime')


class InOrder(TorchFunctionMode):
    """Makes inputs contiguous where an operation would ask for their strides, and expands masks.

    In a graph for every size the answer would depend on whether a size is 1, which is not known.
    """

    layers = (torch.conv2d, torch.conv_transpose2d, torch.nn.functional.linear)
    views = (torch.Tensor.contiguous, torch.Tensor.flatten, torch.Tensor.reshape)

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func in self.layers + self.views:
            args = (args[0].clone(memory_format=torch.contiguous_format), *args[1:])
        if func is torch.nn.functional.scaled_dot_product_attention and args[3] is not None:
            args = (*args[:3], args[3].expand(args[0].shape[0], -1, -1, -1))
        return func(*args, **(kwargs or {}))


def program(net, image):
    """The backbone as torch.export's graph."""
    sizes = dict.fromkeys(AXES, Dim.DYNAMIC)
    # A size of the example that happens to be 1 somewhere says nothing about other images.
    with InOrder(), tracing.patch(backed_size_oblivious=True):
        return torch.export.export(net, (image,), dynamic_shapes=(sizes,))


def write_program(net, image, path, opset):
    """A file of torch.export."""
    torch.export.save(program(net, image), path)


def read_program(path):
    """A function of images."""
    return torch.export.load(path).module()


def write_script(net, image, path, opset):
    """A file of TorchScript: sizes stay tensors in a trace, so it holds for all of them."""
    torch.jit.trace(net, image, check_trace=False).save(path)


def write_onnx(net, image, path, opset):
    """A file of ONNX."""
    translate(net, program(net, image), path, opset)


def translate(net, graph, path, opset):
    """A file of ONNX, from the backbone's graph."""
    from onnxscript import opset18 as op

    def floor_divide(a, b):
        return op.Div(op.Sub(a, op.Mod(a, b)), b)  # ONNX rounds towards zero, Python down

    names = [f'stride{stride}' for stride in net.out_strides]
    torch.onnx.export(
        graph,
        f=path,
        input_names=['image'],
        output_names=names,
        dynamic_shapes=(AXES,),
        opset_version=opset,
        external_data=sum(p.nbytes for p in net.state_dict().values()) > LIMIT,
        custom_translation_table={operator.floordiv: floor_divide},
        verbose=False,
    )


def read_onnx(path):
    """A function of images."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(path, options, providers=['CPUExecutionProvider'])
    return lambda image: map(torch.from_numpy, session.run(None, {'image': image.numpy()}))


FORMATS = {  # name: (ending, how to write, how to read)
    'onnx': ('.onnx', write_onnx, read_onnx),
    'torch-export': ('.pt2', write_program, read_program),
    'torchscript': ('.ts', write_script, torch.jit.load),
}


def parse():
    """The arguments, and the parser for errors about them."""
    parser = make_parser(
        __doc__,
        epilog='examples: python tools/export.py SwinTransformer --arch tiny\n'
        '          python tools/export.py configs/mask_rcnn_swin_t.py --format torch-export\n'
        '          python tools/export.py MaxViT --cfg-options window_size=10 --shape 320x320',
    )
    parser.add_argument('model', help='a backbone, or a config file whose backbone is meant')
    parser.add_argument('--format', choices=FORMATS, default='onnx', help='[onnx]')
    parser.add_argument('--arch', help="a published size [the backbone's first]")
    text = 'arguments of the backbone, e.g. window_size=12, or settings of the config'
    add_cfg_options(parser, text)
    parser.add_argument('--weights', metavar='PATH_OR_URL', help='of any format that is read')
    parser.add_argument('--shape', default='224x288', metavar='HxW', help='to trace [224x288]')
    parser.add_argument('--opset', type=int, default=20, help='of ONNX, from 18 up [20]')
    parser.add_argument('--out', type=Path, metavar='FILE', help='[MODEL.onnx, .pt2 or .ts]')
    args = parser.parse_args()
    missing = [name for name in NEEDED if not find_spec(name)]
    if args.format == 'onnx' and missing:
        parser.error(f"{', '.join(missing)} missing: pip install -e '.[export]'")
    if args.opset < 18:
        parser.error(f'--opset is {args.opset}; take 18 or more')
    return args, parser


def compare(net, other, example):
    """(size, largest difference in standard deviations of the output) for images of other sizes."""
    random = torch.Generator().manual_seed(0)
    for size in (size for size in OTHERS if size[1:] != example):
        image = torch.randn(size[0], net.stem.in_channels, *size[1:], generator=random)
        pairs = list(zip(net(image), other(image), strict=True))
        same = all(ours.shape == theirs.shape for ours, theirs in pairs)
        spread = [(a - b).abs().max() / a.std() for a, b in pairs if same and a.numel() > 1]
        yield size, max(spread).item() if same else float('inf')


def show(rows, path):
    """A table on the terminal; whether the file equals the backbone."""
    table = Table(title=f'{path} beside PyTorch')
    for column in ('images', 'height', 'width', 'largest difference / deviation'):
        table.add_column(column, justify='right')
    for size, difference in rows:
        table.add_row(*map(str, size), f'{difference:.1e}')
    Console(width=100).print(table)
    return all(difference <= TOLERANCE for _, difference in rows)


def main():
    """Export, read back and compare."""
    args, parser = parse()
    sides = shape(args.shape, parser)
    net = build_backbone(args.model, parser, args.weights, args.arch, args.cfg_options)
    ending, write, read = FORMATS[args.format]
    path = args.out or Path(Path(args.model).stem + ending)
    if not args.weights:
        print('RANDOM WEIGHTS: nothing was trained; give a checkpoint with --weights')
    print(f'exporting {path} from images of {args.shape}, which takes up to some minutes ...')
    warnings.simplefilter('ignore')  # of the tracers, about what is compared below
    logging.getLogger('torch.onnx').setLevel(logging.ERROR)
    start = time.perf_counter()
    fused = fuse_conv_bn(copy.deepcopy(net).eval())
    with torch.no_grad():
        write(fused, torch.randn(2, net.stem.in_channels, *sides), str(path), args.opset)
        seconds = time.perf_counter() - start
        print(f'{path}: {path.stat().st_size / 1e6:.1f} MB in {seconds:.0f} s; comparing ...')
        equal = show(list(compare(net, read(str(path)), sides)), path)
    if not equal:
        sys.exit(f'{path} differs from PyTorch by more than {TOLERANCE}: do not use it')


if __name__ == '__main__':
    main()
