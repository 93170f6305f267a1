"""Write a backbone, or the dense part of a whole model, as a file for other programs.

The file takes images of any height, width and number; with --size of one size alone, which engines
run faster. onnx runs in onnxruntime, openvino in OpenVINO, torch-export (.pt2) and torchscript
(.ts, deprecated in PyTorch) in PyTorch without this package. The file is read back and compared
with PyTorch, at other sizes and numbers of images than it was made from where it takes them. Images
must be as in training: normalised already.
"""

import copy
import sys
import time
import warnings
from importlib.util import find_spec
from pathlib import Path

import torch
from lib import quantization
from lib.arguments import add_cfg_options, build_backbone, make_parser
from lib.engines import EXAMPLE, FORMATS, NEEDED, OPSET
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

OTHERS = ((1, 61, 97), (3, 128, 224), (2, 265, 190), (1, 20, 33))  # (images, height, width)
# Of an output's standard deviation; half precision carries 11 bits.
TOLERANCE = {torch.float32: 1e-3, torch.float16: 5e-2}


def parse():
    """The arguments, and the parser for errors about them."""
    parser = make_parser(
        __doc__,
        epilog='examples: python tools/export.py SwinTransformer --arch tiny\n'
        '          python tools/export.py configs/mask_rcnn_swin_t.py --format openvino\n'
        '          python tools/export.py configs/upernet_swin_t.py --whole --size 512 512',
    )
    parser.add_argument('model', help='a backbone, or a config file whose backbone is meant')
    parser.add_argument('--format', choices=FORMATS, default='onnx', help='[onnx]')
    parser.add_argument('--arch', help="a published size [the backbone's first]")
    text = 'arguments of the backbone, e.g. window_size=12, or settings of the config'
    add_cfg_options(parser, text)
    parser.add_argument('--weights', metavar='PATH_OR_URL', help='of any format that is read')
    text = 'the model of a config up to the raw outputs of its heads, not its backbone alone'
    parser.add_argument('--whole', action='store_true', help=text)
    text = 'the only size that the file takes, which engines run faster [any size]'
    parser.add_argument('--size', type=int, nargs=2, metavar=('HEIGHT', 'WIDTH'), help=text)
    parser.add_argument('--batch', type=int, default=1, help='images at a time with --size [1]')
    text = 'in float16, for GPUs and for half the file; OpenVINO: weights only'
    parser.add_argument('--half', action='store_true', help=text)
    text = f'of ONNX, from 18 up [{OPSET}]'
    parser.add_argument('--opset', type=int, default=OPSET, help=text)
    parser.add_argument('--out', type=Path, metavar='FILE', help='[MODEL.onnx, .xml, .pt2 or .ts]')
    quantization.add_arguments(parser)
    args = parser.parse_args()
    missing = [name for name in NEEDED.get(args.format, ()) if not find_spec(name)]
    if missing:
        parser.error(f"{', '.join(missing)} missing: pip install -e '.[export]'")
    if args.opset < 18:
        parser.error(f'--opset is {args.opset}; take 18 or more')
    if args.format == 'openvino' and args.out and args.out.suffix != '.xml':
        parser.error(f'--out is {args.out}; files of OpenVINO end in .xml (and .bin beside it)')
    if min(args.size or [1]) < 1 or args.batch < 1:
        parser.error('--size and --batch take numbers from 1 up')
    quantization.check_arguments(args, parser)
    return args, parser


def build(args, parser):
    """The network to export, in evaluation."""
    if not args.whole:
        return build_backbone(args.model, parser, args.weights, args.arch, args.cfg_options)
    from lib.dense_parts import build_dense  # needs mmdet or mmseg

    return build_dense(args.model, parser, args.weights, args.cfg_options)


def compare(net, other, sizes, dtype=torch.float32):
    """(size, largest difference in standard deviations of the output) for images of some sizes."""
    random = torch.Generator().manual_seed(0)
    for size in sizes:
        image = torch.randn(size[0], net.stem.in_channels, *size[1:], generator=random)
        pairs = list(zip(net(image), other(image.to(dtype)), strict=True))
        same = all(ours.shape == theirs.shape for ours, theirs in pairs)
        spread = [(a - b).abs().max() / a.std() for a, b in pairs if same and a.numel() > 1]
        yield size, max(spread).item() if same else float('inf')


def show(rows, path, tolerance):
    """A table on the terminal; whether the file equals the network."""
    table = Table(title=f'{path} beside PyTorch')
    for column in ('images', 'height', 'width', 'largest difference / deviation'):
        table.add_column(column, justify='right')
    for size, difference in rows:
        table.add_row(*map(str, size), f'{difference:.1e}')
    Console(width=100).print(table)
    return all(difference <= tolerance for _, difference in rows)


def export(net, path, args):
    """Write the file and read it back; [(size, difference)] beside PyTorch."""
    _, write, read = FORMATS[args.format]
    dtype = torch.float16 if args.half else torch.float32
    size = (args.batch, *args.size) if args.size else EXAMPLE
    image = torch.randn(size[0], net.stem.in_channels, *size[1:], dtype=dtype)
    source = copy.deepcopy(net).half() if args.half else net
    columns = SpinnerColumn(), TextColumn('{task.description}'), TimeElapsedColumn()
    with torch.no_grad(), Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(f'writing {path}, which takes up to some minutes')
        write(source, image, str(path), not args.size, args.opset)
        progress.update(task, description='comparing with PyTorch')
        # OpenVINO computes in float32 on a CPU, whatever the weights are stored in.
        given = torch.float32 if args.format == 'openvino' else dtype
        return list(compare(net, read(str(path)), [size] if args.size else OTHERS, given))


def main():
    """Export, read back and compare."""
    args, parser = parse()
    net = build(args, parser)
    path = args.out or Path(Path(args.model).stem + FORMATS[args.format][0])
    if not args.weights:
        print('RANDOM WEIGHTS: nothing was trained; give a checkpoint with --weights')
    warnings.simplefilter('ignore')  # of the tracers, about what is compared below
    start = time.perf_counter()
    rows = export(net, path, args)
    tolerance = TOLERANCE[torch.float16 if args.half else torch.float32]
    equal = show(rows, path, tolerance)
    files = [path, path.with_suffix('.bin')] if args.format == 'openvino' else [path]
    size = sum(file.stat().st_size for file in files) / 1e6
    print(f'{" ".join(map(str, files))}: {size:.1f} MB in {time.perf_counter() - start:.0f} s')
    if not equal:
        sys.exit(f'{path} differs from PyTorch by more than {tolerance}: do not use it')
    if args.int8:
        quantization.quantise(path, args)
    if args.check:
        quantization.check(path, args)


if __name__ == '__main__':
    main()
