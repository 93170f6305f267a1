"""Write a detector or segmenter, or its backbone alone, as a file for other programs.

The file of a whole model takes a picture (height, width, 3) in uint8 RGB, of any size or with
--size of one alone, and gives what is found in it: boxes, scores, labels and masks, or classes of
pixels. What else a program must know is in the file as JSON. It is read back and compared with what
mm itself predicts. The files of backbones (--backbone) and of raw outputs (--raw) take images
normalised as in training; these can be of PyTorch as well (.pt2, or the deprecated .ts).
"""

import argparse
import copy
import json
import sys
import time
import warnings
from importlib.util import find_spec
from pathlib import Path

import torch
from lib import quantization
from lib.arguments import (
    add_cfg_options,
    build_backbone,
    is_backbone,
    read_mm_config,
    read_model_config,
)
from lib.engines import EXAMPLE, FORMATS, NEEDED, OLDEST, OPSET, compile_as_usual, is_old
from lib.process import prepare_process
from lib.usage import UsageError, make_parser, run_tool, usage_errors
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from mmbackbones import CheckpointError, load_checkpoint

OTHERS = ((1, 61, 97), (3, 128, 224), (2, 265, 190), (1, 20, 33))  # (images, height, width)
WHOLE = ('mmdet', 'mmseg')  # whose models are written whole
WITH_METADATA = ('onnx', 'openvino')
# Of an output's standard deviation; half precision carries 11 bits.
TOLERANCE = {torch.float32: 1e-3, torch.float16: 5e-2}


def command_line():
    """The parser of the arguments."""
    parser = make_parser(
        __doc__,
        epilog='examples: python tools/export.py configs/mask_rcnn_swin_t.py --weights CHECKPOINT\n'
        '          python tools/export.py configs/retinanet_swin_t.py --format openvino --half\n'
        '          python tools/export.py SwinTransformer --arch tiny',
    )
    text = 'a config of mmdet or mmseg, or a backbone by name'
    parser.add_argument('model', help=text)
    parser.add_argument('--format', choices=FORMATS, default='onnx', help='[onnx]')
    parser.add_argument('--arch', help="a published size [the backbone's first]")
    text = 'arguments of the backbone, e.g. window_size=12, or settings of the config'
    add_cfg_options(parser, text)
    parser.add_argument('--weights', metavar='PATH_OR_URL', help='of any format that is read')
    parts = parser.add_mutually_exclusive_group()
    text = 'the backbone of a config alone'
    parts.add_argument('--backbone', dest='part', action='store_const', const='backbone', help=text)
    text = 'the outputs of the dense head of a config as they are; --whole is an old name of this'
    for flag in ('--raw', '--whole'):
        parts.add_argument(flag, dest='part', action='store_const', const=flag[2:], help=text)
        text = argparse.SUPPRESS
    text = 'the only size that the file takes, which engines run faster [any size]'
    parser.add_argument('--size', type=int, nargs=2, metavar=('HEIGHT', 'WIDTH'), help=text)
    text = 'images at a time; of backbones with --size, of whole models those that find maps'
    parser.add_argument('--batch', type=int, help=text)
    text = 'of whole segmenters also the scores of all classes'
    parser.add_argument('--scores', action='store_true', help=text)
    text = 'masks of whole pictures, where they are otherwise of 28 x 28 pixels in their boxes'
    parser.add_argument('--paste-masks', action='store_true', help=text)
    text = 'deformable attention by Gather, for engines that compute GridSample wrongly'
    parser.add_argument('--gather', action='store_true', help=text)
    text = 'pictures to compare a whole model in [made up]'
    parser.add_argument('--images', nargs='+', default=[], metavar='FILE', help=text)
    text = 'in float16, for GPUs and half the file; OpenVINO, queries, segmenters: weights only'
    parser.add_argument('--half', action='store_true', help=text)
    text = f'of ONNX, from 18 up [{OPSET}]'
    parser.add_argument('--opset', type=int, default=OPSET, help=text)
    parser.add_argument('--out', type=Path, metavar='FILE', help='[MODEL.onnx, .xml, .pt2 or .ts]')
    quantization.add_arguments(parser)
    return parser


def complete(args):
    """Raise a `UsageError` if arguments do not go together; set the part that is written."""
    missing = [name for name in NEEDED.get(args.format, ()) if not find_spec(name)]
    if missing:
        raise UsageError(f"{', '.join(missing)} missing: pip install -e '.[export]'")
    if args.format in NEEDED and is_old():
        raise UsageError(
            f'--format {args.format} needs PyTorch {OLDEST} or newer, and {torch.__version__} is '
            f'installed; install a newer one, or write --format torch-export'
        )
    if args.opset < 18:
        raise UsageError(f'--opset is {args.opset}; take 18 or more')
    if args.format == 'openvino' and args.out and args.out.suffix != '.xml':
        raise UsageError(f'--out is {args.out}; files of OpenVINO end in .xml (and .bin beside it)')
    if min([*(args.size or []), args.batch or 1]) < 1:
        raise UsageError('--size and --batch take numbers from 1 up')
    if args.part == 'whole':
        print('--whole is called --raw now: without it, whole models are written', file=sys.stderr)
        args.part = 'raw'
    args.part = args.part or usual_part(args)
    if args.part == 'model' and args.format not in WITH_METADATA:
        raise UsageError(
            f'--format {args.format} is for --backbone and --raw; take onnx or openvino'
        )
    quantization.check_arguments(args)


def usual_part(args):
    """What is written unless a flag says so: the model of a config of mmdet or mmseg."""
    if not Path(args.model).is_file():
        return 'backbone'
    cfg = read_model_config(args.model, args.cfg_options)
    scope = cfg.get('default_scope')
    if scope and scope not in WHOLE:
        print(f'note: the backbone alone is written: {why_not_whole(scope)}', file=sys.stderr)
    return 'model' if scope in WHOLE and 'type' in cfg.model else 'backbone'


def why_not_whole(scope):
    """Why a model of another package is not written whole."""
    return f'whole models are written for {" and ".join(WHOLE)}, and this one is of {scope}'


def build(args):
    """The network to export, in evaluation, and its config if it is a whole model."""
    if args.part == 'backbone':
        return build_backbone(args.model, args.weights, args.arch, args.cfg_options), None
    if is_backbone(args.model, args.arch):
        raise UsageError(f'--{args.part} needs a config file, and {args.model} is none')
    cfg = read_mm_config(args.model, args.cfg_options)
    if cfg.default_scope not in WHOLE:
        raise UsageError(f'--{args.part}: {why_not_whole(cfg.default_scope)}; leave it out')
    from lib.dense_parts import DenseParts  # these need mmdet or mmseg
    from lib.flops import build as build_model
    from lib.whole import Refused, whole_model

    names = ('size', 'batch', 'scores', 'paste_masks', 'gather')
    settings = {name: getattr(args, name) for name in names}
    with usage_errors(TypeError, ValueError, KeyError, OSError, CheckpointError):
        try:
            model = build_model(cfg)
            net = DenseParts(model) if args.part == 'raw' else whole_model(model, settings, cfg)
        except Refused as error:
            raise UsageError(f'{error}; --backbone writes the backbone alone') from error
        if args.weights:
            load_checkpoint(model, args.weights)
    return net.eval().requires_grad_(False), cfg


def compare(net, other, sizes, dtype=torch.float32):
    """(size, largest difference in standard deviations of the output) for images of some sizes."""
    random = torch.Generator().manual_seed(0)
    for size in sizes:
        image = torch.randn(size[0], net.stem.in_channels, *size[1:], generator=random)
        pairs = list(zip(net(image), other(image.to(dtype)), strict=True))
        if all(ours.shape == theirs.shape for ours, theirs in pairs):
            errors = [(a - b).abs().max() / a.std() for a, b in pairs if a.numel() > 1]
            yield size, max(errors).item()
        else:
            yield size, float('inf')


def show(rows, path, tolerance):
    """A table on the terminal; whether the file equals the network."""
    table = Table(title=f'{path} beside PyTorch')
    for column in ('images', 'height', 'width', 'largest difference / deviation'):
        table.add_column(column, justify='right')
    for size, difference in rows:
        table.add_row(*map(str, size), f'{difference:.1e}')
    Console(width=100).print(table)
    return all(difference <= tolerance for _, difference in rows)


def write(net, image, path, args, **metadata):
    """Write a file; images are in its precision, unless it takes them as they are."""
    if args.half:
        net = copy.deepcopy(net)
        if getattr(net, 'computes_half', True):
            getattr(net, 'model', net).half()
        else:
            net.stores_half = True
    columns = SpinnerColumn(), TextColumn('{task.description}'), TimeElapsedColumn()
    with torch.no_grad(), Progress(*columns, console=Console(stderr=True)) as progress:
        progress.add_task(f'writing {path}, which takes up to some minutes')
        FORMATS[args.format][1](net, image, str(path), not args.size, args.opset, **metadata)


def export_network(net, path, args):
    """Write the file and read it back; [(size, difference)] beside PyTorch."""
    dtype = torch.float16 if args.half else torch.float32
    size = (args.batch or 1, *args.size) if args.size else EXAMPLE
    write(net, torch.randn(size[0], net.stem.in_channels, *size[1:], dtype=dtype), path, args)
    # OpenVINO computes in float32 on a CPU, whatever the weights are stored in.
    given = torch.float32 if args.format == 'openvino' else dtype
    read = FORMATS[args.format][2](str(path))
    with torch.no_grad():
        return list(compare(net, read, [size] if args.size else OTHERS, given))


def export_model(net, cfg, path, args):
    """Write the file of a whole model, read it back and compare it; whether it equals mm's."""
    from lib.whole import EXAMPLE as EXAMPLE_OF_MODELS
    from lib.whole import compare as pairing
    from lib.whole.metadata import KEY, describe

    size = tuple(args.size) if args.size else None
    shape = (*(size or EXAMPLE_OF_MODELS), 3)
    example = torch.zeros((args.batch, *shape) if args.batch else shape, dtype=torch.uint8)
    meta = describe(net, cfg, args.model, size, args.batch or 1)
    write(net, example, path, args, metadata={KEY: json.dumps(meta)})
    read = FORMATS[args.format][2](str(path))
    rows = list(pairing.compare(net, read, args.images, size, args.batch))
    Console(width=100).print(pairing.table(path, rows))
    if not any(row.get('finds', 1) for _, row, _ in rows):
        print('nothing was found, so this says little: give pictures of your data with --images')
    return all(pairing.is_equal(row, args.half) for _, row, _ in rows)


def export(args):
    """Export, read back and compare."""
    complete(args)
    net, cfg = build(args)
    path = args.out or Path(Path(args.model).stem + FORMATS[args.format][0])
    if not args.weights:
        print('RANDOM WEIGHTS: nothing was trained; give a checkpoint with --weights')
    warnings.simplefilter('ignore')  # of the tracers, about what is compared below
    start = time.perf_counter()
    if args.part == 'model':
        equal, reason = export_model(net, cfg, path, args), 'what mm predicts'
    else:
        tolerance = TOLERANCE[torch.float16 if args.half else torch.float32]
        equal = show(export_network(net, path, args), path, tolerance)
        reason = f'PyTorch by more than {tolerance}'
    if args.format == 'openvino':
        compile_as_usual(str(path))
    files = [path, path.with_suffix('.bin')] if args.format == 'openvino' else [path]
    size = sum(file.stat().st_size for file in files) / 1e6
    print(f'{" ".join(map(str, files))}: {size:.1f} MB in {time.perf_counter() - start:.0f} s')
    if not equal:
        sys.exit(f'{path} differs from {reason}: do not use it')
    if args.int8:
        quantization.quantise(path, args)
    if args.check:
        quantization.check(path, args)


def main():
    """Run the command line."""
    prepare_process()
    run_tool(command_line, export)


if __name__ == '__main__':
    main()
