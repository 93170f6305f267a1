"""Time and memory of a backbone and of its peers, alternating in one process.

Every round runs every contestant once; what counts is the median of the rounds' ratios, each over
the first contestant, so that a noisy machine slows all alike. The share says how much of the
machine's own measured rate of matrix products a contestant reaches. With several --backend each
network runs on each of them. Engines run files for one size, --shape; with --any-size our file is
for any, while those of peers stay for one: PyTorch's exporter fails on timm's or takes minutes.

Instead of a class it takes a file of tools/export.py with a whole model, which both engines run,
beside mm's own model if there is a --config: seconds per picture, from its pixels to masks in them.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import warnings
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import matplotlib
import torch
from lib.arguments import parse_shape, progress
from lib.engines import EXAMPLE, OPSET, read_onnx, read_openvino, write_onnx, write_onnx_as_it_is
from lib.exported import is_exported
from lib.exported_speed import pictures, runs_of
from lib.flops import count
from lib.memory import keep_pages, kept
from lib.peers import PEERS, ours, plain
from lib.process import prepare_process
from lib.timing import measure, seconds
from lib.usage import UsageError, make_parser, run_tool
from rich.console import Console
from rich.table import Table

from mmbackbones.backbone import Backbone
from mmbackbones.registry import MODELS
from mmbackbones.weights.errors import CheckpointError, truncate

MALLOCS = 'keep-pages', 'glibc'
ENGINES = dict(onnxruntime=read_onnx, openvino=read_openvino)
PACKAGES = ('timm', 'torchvision', 'onnxruntime', 'openvino')  # whose versions count
MODES = {'compile': None, 'cudagraphs': 'reduce-overhead'}  # of torch.compile
BACKENDS = ('eager', *MODES, *ENGINES)
DTYPES = dict(float32=None, bfloat16=torch.bfloat16, float16=torch.float16)


def command_line():
    """The parser of the arguments."""
    parser = make_parser(
        __doc__,
        epilog='example: python tools/benchmark.py DaViT --shape 896x1344 --out davit.json',
    )
    text = f'a class, at its tiny size: {", ".join(sorted(PEERS))}; or a file .onnx or .xml'
    parser.add_argument('name', help=text)
    parser.add_argument('--config', help='of a file .onnx or .xml: time its model in PyTorch too')
    parser.add_argument('--weights', help='of that model; what it finds decides on its time')
    parser.add_argument('--peers', nargs='+', help='of timm torchvision mmdet ... plain [all]')
    parser.add_argument('--options', default='{}', help='our arguments as JSON')
    parser.add_argument('--shape', default='896x1344', metavar='HxW')
    text = 'so many different shapes instead, which of the files of engines only ours takes'
    parser.add_argument('--stream', type=int, default=0, help=text)
    parser.add_argument('--batch', type=int, default=1)
    parser.add_argument('--mode', choices=('inference', 'training'), default='inference')
    parser.add_argument('--dtype', choices=sorted(DTYPES), default='float32', help='of autocast')
    parser.add_argument('--device', default='cuda' if torch.cuda.is_available() else 'cpu')
    parser.add_argument('--threads', type=int, default=torch.get_num_threads())
    parser.add_argument('--rounds', type=int, default=9)
    text = 'run every network on each of these [eager]'
    parser.add_argument('--backend', nargs='+', choices=BACKENDS, default=['eager'], help=text)
    text = 'compile everybody, and export ours, for images of any size [for one]'
    parser.add_argument('--any-size', action='store_true', help=text)
    text = 'of everybody: keeps the memory of freed tensors, or as glibc has it [keep-pages]'
    parser.add_argument('--malloc', choices=MALLOCS, default=MALLOCS[0], help=text)
    parser.add_argument('--out', type=Path, help='a .json file; a .png with the same name lies by')
    parser.add_argument('--peak-of', help=argparse.SUPPRESS)
    return parser


def complete(args):
    """The arguments with what follows from them; a `UsageError` if they do not go together."""
    args.is_exported = is_exported(args.name)
    if not args.is_exported and args.name not in PEERS:
        raise UsageError(
            f'{args.name} is neither a file .onnx or .xml nor one of {", ".join(sorted(PEERS))}'
        )
    if args.config and not args.is_exported:
        raise UsageError(f'--config is for a file .onnx or .xml, and {args.name} is a class')
    args.shape = parse_shape(args.shape)
    args.any_size |= args.stream > 0
    args.engines = [backend for backend in args.backend if backend in ENGINES]
    usual = args.mode == 'inference' and args.dtype == 'float32' and args.device == 'cpu'
    if (args.engines or args.is_exported) and not usual:
        names = ', '.join(args.engines or ENGINES)
        raise UsageError(f'{names}: inference in float32 on the cpu only')
    return args


def builders(args):
    """{contestant: function that builds it}, ours first."""
    networks, several = builders_of_networks(args), len(args.backend) > 1
    return {
        f'{name} {backend}' if several else name: (build, backend)
        for backend in args.backend
        for name, build in networks.items()
        if name == 'ours' or backend not in ENGINES or not args.stream
    }


def builders_of_networks(args):
    """{name: function that builds a network}, ours first."""
    options = json.loads(args.options)
    peers = {'ours': partial(ours, args.name, **options)}
    peers['plain'] = partial(plain, args.name, **options)
    peers |= {peer: partial(build, args.shape) for peer, build in PEERS[args.name].items()}
    left_out = ('ours',) if args.backend == ['eager'] else ('ours', 'plain')
    chosen = args.peers or [name for name in peers if name not in left_out]
    if unknown := set(chosen) - set(peers):
        sys.exit(f'{args.name} has no peer {", ".join(unknown)}; it has {", ".join(peers)}')
    return {name: peers[name] for name in ('ours', *chosen)}


def shapes(args):
    """The one shape, or a stream of different ones with as many pixels, in random order."""
    if not args.stream:
        return [args.shape]
    height, width = args.shape
    random = torch.randperm(args.stream, generator=torch.Generator().manual_seed(0))
    aspects = torch.linspace(0.5, 2, args.stream)[random].sqrt().tolist()
    side = (height * width) ** 0.5
    return [(round(side / aspect), round(side * aspect)) for aspect in aspects]


def engine(net, backend, args):
    """A function of images that an engine runs: ours as tools/export.py writes it."""
    own = isinstance(net, Backbone)
    number, *size = EXAMPLE if own and args.any_size else (args.batch, *args.shape)
    images = torch.rand(number, 3, *size)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter('ignore')
        path = str(Path(folder, 'net.onnx'))
        if own:
            write_onnx(net, images, path, args.any_size, OPSET)
        else:
            write_onnx_as_it_is(net, images, path, OPSET)
        return ENGINES[backend](path, args.threads)


def contestant(build, backend, args):
    """A function that runs one image: forward, and in training backward too."""
    net = build().to(args.device)
    net.train(args.mode == 'training')  # mmdet's returns nothing
    if backend in ENGINES:
        return engine(net, backend, args)
    if backend in MODES:
        net = torch.compile(net, dynamic=args.any_size or None, mode=MODES[backend])
    dtype = DTYPES[args.dtype]

    def forward(image):
        with torch.autocast(args.device, dtype or torch.bfloat16, enabled=dtype is not None):
            return net(image)

    def run(image):
        loss = sum(out.float().mean() for out in forward(image))
        if args.mode == 'training':
            loss.backward()
            net.zero_grad()

    if args.mode == 'inference':
        return torch.no_grad()(run)
    run.forward = forward
    return run


def matmul_rate(device, dtype, size=2048, rounds=7):
    """FLOPs per second of a large matrix product, the best of some rounds."""
    a, b = (torch.rand(size, size, device=device, dtype=dtype) for _ in range(2))
    fastest = min(seconds(a.matmul, b) for _ in range(rounds))
    return 2 * size**3 / fastest


def activations(run, image):
    """Bytes that forward keeps for backward, its outputs among them."""
    return kept(partial(run.forward, image))


def peak(build, backend, args):
    """Bytes that one run needs at most beside what was there before."""
    run = contestant(build, backend, args)
    image = torch.rand(args.batch, 3, *args.shape, device=args.device)
    if image.is_cuda:
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        run(image)
        return torch.cuda.max_memory_allocated() - before
    Path('/proc/self/clear_refs').write_text('5')  # resets VmHWM, the peak so far
    before = memory('VmRSS')
    run(image)
    return memory('VmHWM') - before


def memory(kind):
    """Bytes of this process as Linux counts them."""
    lines = Path('/proc/self/status').read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(kind))


def peak_of(name):
    """`peak` of a contestant, in a process of its own."""
    command = [sys.executable, *sys.argv, '--peak-of', name]
    done = subprocess.run(command, capture_output=True, text=True)
    return int(done.stdout) if done.returncode == 0 else None


def results(args, build):
    """{contestant: figures}."""
    images = [torch.rand(args.batch, 3, *s, device=args.device) for s in shapes(args)]
    runs = dict(prepared(args, build))
    figures = ratios_of(measure(runs, images, args.rounds))
    flops, pixels = 2 * work(args, images), sum(image[:, 0].numel() for image in images)
    rate = matmul_rate(args.device, DTYPES[args.dtype] or torch.float32)
    training = args.mode == 'training'
    for name, row in figures.items():
        row.update(
            nanoseconds_per_pixel=1e9 * row['median'] / pixels,
            share=flops / row['median'] / rate,
            activations=activations(runs[name], images[0]) if training else None,
            # Engines take their memory when a graph is loaded: a run adds nothing to be measured.
            peak=None if build[name][1] in ENGINES else peak_of(name),
        )
    return figures


def ratios_of(times):
    """{contestant: seconds per round, their ratios to the first contestant's, and the medians}."""
    figures, first = {}, next(iter(times.values()))
    for name, own in times.items():
        ratios = [theirs / mine for theirs, mine in zip(own, first, strict=True)]
        medians = dict(median=statistics.median(own), ratio=statistics.median(ratios))
        figures[name] = dict(seconds=own, ratios=ratios, **medians)
    return figures


def prepared(args, build):
    """(name, function that runs one image) of each contestant but those whose export fails."""
    for name, (function, backend) in progress(build.items(), 'preparing'):
        try:
            yield name, contestant(function, backend, args)
        except torch.onnx.OnnxExporterError as error:
            text = f'{name} is left out, as it cannot be exported: {truncate(error)}'
            print(text, file=sys.stderr)


def work(args, images):
    """Multiplications with addition of our own backbone, thrice that in training."""
    with torch.device('meta'):
        net = MODELS.get(args.name)(**json.loads(args.options)).eval()
    total = sum(count(net, image.to('meta'))['Global'] for image in images)
    return total * (3 if args.mode == 'training' else 1)


def show(figures, title):
    """A table on the terminal."""
    table = Table(title=title)
    first = next(iter(figures))
    others = {'share of matmul rate': 'share', 'kept MB': 'activations', 'peak MB': 'peak'}
    others = {column: key for column, key in others.items() if key in figures[first]}
    for column in ('', 'median ms', f'times {first}', *others):
        table.add_column(column, justify='left' if not column else 'right')
    for name, row in figures.items():
        ms = 1e3 * row['median']
        texts = [f'{ms:,.0f}' if ms >= 10 else f'{ms:.1f}', f'{row["ratio"]:.2f}']
        texts += [cell(key, row[key]) for key in others.values()]
        table.add_row(name, *texts)
    Console(width=100).print(table)


def cell(key, value):
    """A share in percent or bytes in MB, or a dash where nothing was measured."""
    if not value:
        return '-'
    return f'{value:.0%}' if key == 'share' else f'{value / 1e6:,.0f}'


def save(figures, machine, title, path):
    """Write the figures and a plot of all ratios."""
    path.write_text(json.dumps(dict(title=title, machine=machine, figures=figures), indent=1))
    matplotlib.use('Agg')
    from matplotlib import pyplot

    first, *names = figures
    figure, axes = pyplot.subplots(figsize=(6, 1 + 0.5 * len(names)), layout='constrained')
    axes.boxplot([figures[name]['ratios'] for name in names], orientation='horizontal')
    axes.set_yticks(range(1, len(names) + 1), names)
    axes.axvline(1, color='grey')
    axes.set_xlabel(f'time over that of {first}')
    axes.set_title(title, fontsize='small')
    figure.savefig(path.with_suffix('.png'), dpi=150)


def machine(args):
    """What the figures belong to."""
    lines = Path('/proc/cpuinfo').read_text().splitlines() if Path('/proc/cpuinfo').exists() else []
    cpu = next((line.split(':')[1].strip() for line in lines if 'model name' in line), 'unknown')
    gpu = torch.cuda.get_device_name() if args.device.startswith('cuda') else None
    machine = dict(cpu=cpu, gpu=gpu, threads=args.threads, torch=torch.__version__)
    others = [name for name in PACKAGES if find_spec(name)]
    return dict(machine, malloc=args.malloc, **{name: version(name) for name in others})


def show_exported(args):
    """Measure, show and keep what a file of a whole model takes per picture."""
    try:
        runs = runs_of(args)
    except (CheckpointError, ImportError, OSError, SyntaxError, ValueError) as error:
        sys.exit(truncate(error, 500))
    images = list(pictures(shapes(args)))
    figures = ratios_of(measure(runs, images, args.rounds))
    for row in figures.values():
        row['median'] /= len(images) * args.batch
    size = '{} x {}'.format(*args.shape)
    title = f'{Path(args.name).name}, {size}, batch {args.batch}, {args.threads} threads'
    show(figures, title)
    if args.out:
        save(figures, machine(args), title, args.out)


def title_of(args):
    """What was measured, in a line."""
    name = f'{args.name} {args.options}' if json.loads(args.options) else args.name
    backends = ' and '.join(args.backend) + (' for any size' if args.any_size else '')
    size = '{} x {}'.format(*args.shape)
    if args.stream:
        size = f'{args.stream} shapes around {size}'
    parts = name, backends, args.mode, size, f'batch {args.batch}', args.dtype, args.malloc
    return ', '.join(parts)


def show_backbones(args):
    """Measure, show and keep what backbones take."""
    build = builders(args)
    if args.peak_of:
        print(peak(*build[args.peak_of], args))
        return
    try:
        figures = results(args, build)
    except ImportError as error:
        sys.exit(f'{error.name} is not installed: pip install -e ".[bench]", or choose --peers')
    title = title_of(args)
    show(figures, title)
    if args.out:
        save(figures, machine(args), title, args.out)


def benchmark(args):
    """Measure, show and keep."""
    complete(args)
    if args.malloc == 'keep-pages':
        keep_pages()
    torch.set_num_threads(args.threads)
    if args.is_exported:
        show_exported(args)
    else:
        show_backbones(args)


def main():
    """Run the command line."""
    prepare_process()
    run_tool(command_line, benchmark)


if __name__ == '__main__':
    main()
