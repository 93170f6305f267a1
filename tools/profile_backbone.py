"""Parameters, FLOPs, activations and time of each stage of a backbone, or of a config's model.

As in the papers, a FLOP is a multiplication with its addition. Activations are the numbers that
come out of convolutions and matrix products, as fvcore counts them. Time is that of one image on
one machine, the median of some rounds.
"""

import math
import time
from collections import Counter
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from statistics import median

import matplotlib
import matplotlib.pyplot as plt
import torch
from lib.arguments import (
    build_backbone,
    check_device,
    check_folder,
    is_backbone,
    progress,
    read_mm_config,
)
from lib.flops import FORGOTTEN, build, count, parameters, passing, tally
from lib.process import prepare_process
from lib.usage import UsageError, make_parser, run_tool
from matplotlib.backends.backend_agg import FigureCanvasAgg
from rich.console import Console
from rich.table import Table
from torch.utils.flop_counter import flop_registry

from mmbackbones.backbone import Backbone
from mmbackbones.registry import MODELS

# What is measured, and how to write it.
COLUMNS = {'parameters, M': 1e-6, 'FLOPs, G': 1e-9, 'activations, M': 1e-6, 'time, ms': 1e3}


def numbers(*args, out_shape=None, **kwargs):
    """How many numbers come out of an operation; of attention's outputs, of the first."""
    return math.prod(out_shape[0] if isinstance(out_shape[0], tuple) else out_shape)


def numbers_of_attention(query, key, *args, out_shape=None, **kwargs):
    """The same as of its two matrix products, whatever kernel does both at once."""
    return math.prod(query[:-1]) * key[-2] + numbers(out_shape=out_shape)


# mmengine.analysis.ActivationAnalyzer counts nothing for fused attention, a quarter of Swin's.
ACTIVATIONS = {
    operation: numbers_of_attention if 'dot_product' in str(operation) else numbers
    for operation in [*flop_registry, *FORGOTTEN]
}


def parts(model):
    """{row: modules} of a backbone, or of a model that has one; what is left are the heads."""
    backbone = getattr(model, 'backbone', model)
    rows = {'backbone': [backbone]}
    if isinstance(backbone, Backbone):
        rows = {'stem': [backbone.stem]}
        for i, stage in enumerate(backbone.stages, 1):
            rows[f'stage {i}'] = [stage.downsample, *stage.blocks]
        ends = [part for name, part in backbone.named_children() if name not in ('stem', 'stages')]
        rows['outputs'] = ends
    if getattr(model, 'neck', None) is not None:
        rows['neck'] = [model.neck]
    return rows


@contextmanager
def watched(rows, device):
    """A dict to which each pass adds the seconds of each row."""
    seconds = Counter()

    def now():
        if device.type != 'cpu':
            torch.accelerator.synchronize(device)
        return time.perf_counter()

    def start(row, *_):
        seconds[row] -= now()

    def stop(row, *_):
        seconds[row] += now()

    with ExitStack() as hooks:
        for row, modules in rows.items():
            for module in modules:
                before = module.register_forward_pre_hook(partial(start, row))
                after = module.register_forward_hook(partial(stop, row))
                hooks.callback(before.remove)
                hooks.callback(after.remove)
        yield seconds


def timed(model, rows, run, rounds):
    """{row: median of its seconds}, and of the whole."""
    rows, found = {**rows, 'whole': [model]}, []
    with watched(rows, next(model.parameters()).device) as seconds, torch.no_grad():
        for _ in progress(range(1 + rounds), 'timing'):
            seconds.clear()
            run()
            found.append(dict(seconds))
    # The first one warms up. What has no modules takes no time.
    return {row: median(each.get(row, 0.0) for each in found[1:]) for row in rows}


def counted(model, rows, counts):
    """What a counter saw, by rows and as a whole."""
    names = {
        module: '.'.join(filter(None, [type(model).__name__, name]))
        for name, module in model.named_modules()
    }
    by_row = {
        row: sum(counts.get(names[module], 0) for module in modules)
        for row, modules in rows.items()
    }
    return by_row | {'whole': counts['Global']}


def measure(model, run, rounds):
    """{column: {row: number}}."""
    rows = parts(model)
    own = {row: sum(map(parameters, modules)) for row, modules in rows.items()}
    found = [
        own | {'whole': parameters(model)},
        counted(model, rows, count(run)),
        counted(model, rows, tally(run, ACTIVATIONS)),
        timed(model, rows, run, rounds),
    ]
    for column in found:
        whole = column.pop('whole')
        if hasattr(model, 'backbone'):
            column['heads'] = whole - sum(column.values())
        column['whole'] = whole
    return dict(zip(COLUMNS, found, strict=True))


def show(found, title):
    """A table."""
    table = Table(title=title)
    for column in ('', *found):
        table.add_column(column, justify='right' if column else 'left')
    for row in found['time, ms']:
        if row == 'whole':
            table.add_section()
        table.add_row(row, *(f'{found[name][row] * unit:,.2f}' for name, unit in COLUMNS.items()))
    Console(width=100).print(table)


def draw(found, title):
    """Bars of each column, one below the other the parts of the model."""
    figure, axes = plt.subplots(1, len(found), figsize=(13, 4), sharey=True, layout='constrained')
    for axis, (column, unit) in zip(axes, COLUMNS.items(), strict=True):
        rows = [row for row in found[column] if row != 'whole']
        bars = axis.barh(rows, [found[column][row] * unit for row in rows])
        whole = found[column]['whole'] * unit
        axis.bar_label(bars, fmt='{:,.1f}', padding=2)
        axis.set(title=f'{column}: {whole:,.1f} in all', xmargin=0.25)
    axes[0].invert_yaxis()
    figure.suptitle(title)
    return figure


def command_line():
    """The parser of the arguments."""
    parser = make_parser(
        __doc__,
        epilog='examples: python tools/profile_backbone.py MaxViT --size 512 512\n'
        '          python tools/profile_backbone.py configs/mask_rcnn_swin_t.py --size 320 480',
    )
    parser.add_argument('model', help='a config file, or the name of a backbone')
    parser.add_argument('--arch', help="a published size [the backbone's first]")
    text = 'of the image [800 1280]'
    parser.add_argument(
        '--size', nargs=2, type=int, metavar=('H', 'W'), default=(800, 1280), help=text
    )
    parser.add_argument('--rounds', type=int, default=5, help='of timing [5]')
    parser.add_argument('--device', default='cpu', help='[cpu]')
    parser.add_argument(
        '--out', type=Path, metavar='FILE', help='the chart [outputs/profile_NAME.png]'
    )
    return parser


def complete(args):
    """Check the arguments, and set those that follow from others."""
    if is_backbone(args.model, args.arch):
        args.arch = args.arch or next(iter(MODELS.get(args.model).archs))
    args.name = ' '.join(filter(None, [Path(args.model).stem, args.arch]))
    args.out = args.out or Path(f'outputs/profile_{args.name.replace(" ", "_")}.png')
    check_folder(args.out.parent, '--out')
    if args.out.suffix[1:] not in FigureCanvasAgg.filetypes:
        raise UsageError(f'--out is {args.out}; end it in .png, .jpg, .pdf or .svg')
    if min(args.size) < 1 or args.rounds < 1:
        raise UsageError('--size and --rounds take numbers from 1 up')
    check_device(args.device)


def prepare_model(args):
    """The model of the arguments, and a function that sends an image through it."""
    if args.arch:
        image = torch.rand(1, 3, *args.size, device=args.device)
        net = build_backbone(args.model, arch=args.arch).to(args.device)
        return net, lambda: net(image)
    cfg = read_mm_config(args.model)
    model = build(cfg).to(args.device)
    return model, passing(model, cfg.default_scope, tuple(args.size))


def profile(args):
    """Measure, show and draw."""
    complete(args)
    matplotlib.use('Agg')
    model, run = prepare_model(args)
    height, width = args.size
    title = f'{args.name}, one image of {height} x {width}, {args.device}'
    found = measure(model, run, args.rounds)
    show(found, title)
    draw(found, title).savefig(args.out, dpi=100)
    print(f'chart: {args.out}')


def main():
    """Run the command line."""
    prepare_process()
    run_tool(command_line, profile)


if __name__ == '__main__':
    main()
