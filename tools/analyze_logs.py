"""Draw the losses and metrics of one training run, or compare several, also while they train."""

import re
from itertools import pairwise
from pathlib import Path
from statistics import median

from lib.training_logs import note, printable, read_scalars, runs_in
from lib.usage import UsageError, make_parser, run_tool
from matplotlib import colormaps, rc_context
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from rich.console import Console
from rich.table import Table

# What is drawn first of all that is logged.
LOSSES = ('loss', 'loss_cls', 'loss_bbox', 'loss_mask', 'decode.loss_ce', 'aux.loss_ce')
METRICS = ('coco/bbox_mAP', 'coco/bbox_mAP_50', 'coco/segm_mAP', 'coco/segm_mAP_50', 'mIoU', 'aAcc')
NO_METRICS = ('step', 'iter', 'epoch', 'time', 'data_time', 'memory', 'lr')  # of an evaluation
MOST_LINES, MOST_PANELS = 20, 9
OF_TRAINING, OF_EVALUATION = 'iteration', 'evaluated after epoch or iteration'


def names_of(runs):
    """Short names that differ: those of the work dirs, or else the paths as they were given."""
    names = []
    for path in (Path(run).resolve() for run in runs):
        depth = 2 if path.parent.name == 'vis_data' else 0
        names.append(printable((path.parents[depth] if path.name == 'scalars.json' else path).name))
    return names if len(set(names)) == len(runs) else [printable(run) for run in runs]


def of_training(run, key):
    """Whether a key is logged with the steps of a run, and not with its evaluations."""
    return any(key in row for row in run[0].values())


def points(run, key):
    """(steps, values) of a key, in order; a loss is of training, a metric of evaluation."""
    training, evaluation = run
    rows = training if of_training(run, key) else evaluation
    found = [(step, row[key]) for step, row in sorted(rows.items()) if key in row]
    return [step for step, _ in found], [value for _, value in found]


def logged(runs):
    """The keys that any run has logged, in order of appearance."""
    return list(
        dict.fromkeys(key for run in runs for rows in run for r in rows.values() for key in r)
    )


def metrics_of(runs):
    """The metrics that any run has, `METRICS` first, then the others in order of appearance.

    COCO's are -1 where there is no object of a size; those that are nothing else are left out.
    """
    rows = [row for run in runs for row in run[1].values()]
    seen = {key for row in rows for key, value in row.items() if value != -1}.difference(NO_METRICS)
    there = [key for key in logged([({}, run[1]) for run in runs]) if key in seen.union(METRICS)]
    return sorted(there, key=lambda key: METRICS.index(key) if key in METRICS else len(METRICS))


def colour(index):
    """Ten strong colours, then ten pale ones."""
    return colormaps['tab20'](2 * index % 20 + index // 10 % 2)


def draw(axis, lines, title, unit):
    """A panel with a line per label: {label: (steps, values)}; what has no points is left out."""
    for index, (label, (steps, values)) in enumerate(lines.items()):
        marker = dict(marker='.', markersize=8) if len(steps) < 30 else {}
        if steps:
            axis.plot(steps, values, label=label, color=colour(index), **marker)
    axis.set(title=title, xlabel=unit)
    axis.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axis.grid(alpha=0.3)


@rc_context({'text.parse_math': False})
def draw_one(name, run):
    """Losses in one panel, metrics in the other."""
    metrics = metrics_of([run])[:MOST_LINES]
    figure = Figure(figsize=(12, 4.5), layout='constrained')
    left, right = figure.subplots(1, 2)
    draw(left, {key: points(run, key) for key in LOSSES}, 'training loss', OF_TRAINING)
    draw(right, {key: points(run, key) for key in metrics}, 'held-out images', OF_EVALUATION)
    for axis in (axis for axis in (left, right) if axis.lines):
        axis.legend()
    figure.suptitle(name)
    return figure


@rc_context({'text.parse_math': False})
def draw_several(runs, keys):
    """A panel per key with a line per run, which keeps its colour; runs are {name: scalars}."""
    columns = min(len(keys), 2 if len(keys) == 4 else 3)
    rows = -(-len(keys) // columns)
    figure = Figure(figsize=(6 * columns, 4.5 * rows), layout='constrained')
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axis, key in zip(axes, keys, strict=False):
        logged_in_steps = any(of_training(run, key) for run in runs.values())
        unit = OF_TRAINING if logged_in_steps else OF_EVALUATION
        draw(axis, {name: points(run, key) for name, run in runs.items()}, key, unit)
    for axis in axes[len(keys) :]:
        axis.remove()
    lines = {line.get_label(): line for axis in figure.axes for line in axis.lines}
    lines = [lines[name] for name in runs if name in lines]
    figure.legend(handles=lines, loc='outside lower center', ncols=2 * columns)
    return figure


def summary(run, keys):
    """{column: text}: the last value of each key, then what the training took."""
    training = run[0]
    steps, seconds = points((training, {}), 'time')
    ends = pairwise([0, *steps])
    _, memory = points((training, {}), 'memory')
    cells = {key: f'{points(run, key)[1][-1]:.3f}' if points(run, key)[0] else '-' for key in keys}
    cells['s / step'] = f'{median(seconds):.2f}' if seconds else '-'
    cells['steps'] = str(max(training, default=0))
    spent = sum((end - start) * each for (start, end), each in zip(ends, seconds, strict=True))
    cells['minutes'] = f'{spent / 60:.1f}'
    cells['memory MB'] = f'{max(memory):.0f}' if memory else '-'
    return cells


def compare(runs, keys):
    """A table with a row per run."""
    rows = {name: summary(run, keys) for name, run in runs.items()}
    columns = [key for key in next(iter(rows.values())) if {r[key] for r in rows.values()} != {'-'}]
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column('run', overflow='fold')
    for column in columns:
        table.add_column(re.sub('([a-z]/|_)', r'\1\n', column), justify='right', no_wrap=True)
    for name, cells in rows.items():
        table.add_row(name, *(cells[column] for column in columns))
    return table


def command_line():
    """The parser of the arguments."""
    parser = make_parser(
        __doc__,
        epilog='examples: python tools/analyze_logs.py work_dirs/demo\n'
        '          python tools/analyze_logs.py work_dirs --keys loss coco/bbox_mAP',
    )
    text = 'a work dir, a folder of them, or a scalars.json'
    parser.add_argument('runs', nargs='+', metavar='RUN', help=text)
    text = 'a panel for each [loss, and the metrics that all runs have]'
    parser.add_argument('--keys', nargs='+', help=text)
    text = 'a name for each run [those of the work dirs]'
    parser.add_argument('--legend', nargs='+', help=text)
    text = 'the picture to write [RUN/curve.png; of several runs outputs/curves.png]'
    parser.add_argument('--out', help=text)
    return parser


def choose(runs, keys):
    """The keys to compare by: those asked for, or the loss and the metrics that all runs have."""
    there = logged(runs)
    if missing := [key for key in keys or () if key not in there]:
        raise ValueError(f'nobody logged {", ".join(missing)}; there are {", ".join(there)}')
    losses = [run for run in runs if run[0]]  # one that has just begun is not evaluated yet
    metrics = [run for run in runs if run[1]]
    both = [key for key in metrics_of(metrics) if all(points(run, key)[0] for run in metrics)]
    shared = [key for key in ('loss',) if losses]
    shared += [key for key in both if key in METRICS] or both[: MOST_PANELS - 1]
    if not keys and not shared:
        raise ValueError(f'the runs share no metric; give --keys of {", ".join(there)}')
    return keys or shared


def name_runs(args):
    """{name: path} of the runs of the arguments."""
    paths = runs_in(args.runs)
    names = [printable(name) for name in args.legend or names_of(paths)]
    if len(names) != len(paths) or len(set(names)) != len(names):
        raise UsageError(
            f'{len(paths)} runs are called {", ".join(names)}; give --legend a name each'
        )
    return dict(zip(names, paths, strict=True))


def show_one(run, keys):
    """Print the last values of one run: of some keys, or of its metrics."""
    metrics = metrics_of([run])
    last = {key: points(run, key)[1] for key in keys or metrics[:MOST_LINES]}
    texts = [f'{key} {values[-1]:.3f}' for key, values in last.items() if values]
    print(', '.join(texts) or 'not evaluated yet')
    if not keys and len(metrics) > MOST_LINES:
        note(f'{MOST_LINES} of {len(metrics)} metrics are drawn; choose others by --keys')


def show_several(runs, keys):
    """Print a table of the last values of several runs."""
    console = Console(highlight=False, markup=False, emoji=False)
    console.width = console.width if console.is_terminal else max(console.width, 160)
    console.print(compare(runs, keys))


def analyze(args):
    """Draw, save, and print the last values."""
    paths = name_runs(args)
    alone, first = len(paths) == 1, Path(next(iter(paths.values())))
    folder = first if first.is_dir() else first.parent
    out = Path(args.out or (folder / 'curve.png' if alone else 'outputs/curves.png'))
    try:
        runs = {name: read_scalars(path) for name, path in paths.items()}
        keys = choose(runs.values(), args.keys)
        if alone and not args.keys:
            ((name, run),) = runs.items()
            figure = draw_one(name, run)
        else:
            figure = draw_several(runs, keys)
        out.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(out, dpi=120)
    except (OSError, ValueError) as error:
        raise UsageError(printable(error)) from error
    if alone:
        (run,) = runs.values()
        show_one(run, args.keys)
    else:
        show_several(runs, keys)
    print(f'training curve: {printable(out)}')


def main():
    """Run the command line."""
    run_tool(command_line, analyze)


if __name__ == '__main__':
    main()
