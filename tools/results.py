"""Collect trainings from their work dirs: a page of tables, and plots of a metric against costs.

Of each training: its last metrics; the time of its fastest steps, which other work disturbs least;
parameters and FLOPs, from the training.json beside its log. Nothing of a work dir runs.
"""

import math
import re
from pathlib import Path
from typing import NamedTuple

import matplotlib
import matplotlib.pyplot as plt
from analyze_logs import METRICS, colour, metrics_of
from lib.arguments import check_folder
from lib.process import prepare_process
from lib.training_logs import note, printable, read_description, read_scalars, runs_in
from lib.usage import UsageError, make_parser, run_tool
from matplotlib.lines import Line2D

PLOTTED = ('coco/bbox_mAP', 'mIoU')  # against the costs; the one of them that a method has
COSTS = {'s / step': '.2f', 'parameters, M': '.1f', 'FLOPs, G': '.1f'}


class Run(NamedTuple):
    """A training: what it was, what it cost (None where nobody knows), what came out of it."""

    method: str
    backbone: str
    budget: str
    costs: dict
    metrics: dict


def read_run(work_dir):
    """A training by what it left; a `ValueError` if it is too young or not as we write it."""
    if work_dir.is_file():
        raise ValueError(f'{work_dir} is a file; give the work dir that it lies in')
    training, evaluation = read_scalars(work_dir)
    if not training or not evaluation:
        raise ValueError(f'{work_dir} has no step or no metric yet; wait for it, or leave it out')
    last = evaluation[max(evaluation)]
    there = metrics_of([({}, {0: last})])
    names = [name for name in there if name in METRICS] or there[:6]
    about = read_description(work_dir)
    if about['not_counted']:
        note(f'note: {work_dir} has no FLOPs: {about["not_counted"]}')
    seconds = min((row['time'] for row in training.values() if 'time' in row), default=None)
    costs = seconds, in_units(about['parameters'], 1e6), in_units(about['flops'], 1e9)
    return Run(
        method=printable(about['method'] or 'method unknown'),
        backbone=printable(about['backbone'] or work_dir.resolve().name),
        budget=printable(budget(max(training), about)),
        costs=dict(zip(COSTS, costs, strict=True)),
        metrics={name: last[name] for name in names},
    )


def in_units(number, unit):
    """A number in units, or None where nobody knows it."""
    return None if number is None else number / unit


def budget(steps, about):
    """What a training was given, as far as it is known."""
    if about['batch_size'] is None:
        return f'{steps} steps'
    each = f' on each of {about["processes"]} processes' if about['processes'] != 1 else ''
    shape = f'; FLOPs at {about["height"]} x {about["width"]}' if about['flops'] else ''
    return f'{steps} steps of {about["batch_size"]} images{each} from {about["data"]}{shape}'


def by_method(runs):
    """{(method, budget, metric): its runs, the best first}: only equal budgets are compared."""
    methods = {(run.method, run.budget, plotted(run)): [] for run in runs}
    for run in sorted(runs, key=lambda run: -score(run)):
        methods[run.method, run.budget, plotted(run)].append(run)
    return methods


def score(run):
    """The value of the metric that a run is judged by; the lowest if it is no number."""
    value = run.metrics.get(plotted(run), math.nan)
    return value if math.isfinite(value) else -math.inf


def plotted(run):
    """The metric that a run is judged by, if its evaluation found anything."""
    return next((name for name in (*PLOTTED, *run.metrics) if name in run.metrics), 'no metric')


def page(runs):
    """A table for each method and budget, in Markdown."""
    lines = []
    for (method, given, _), group in by_method(runs).items():
        lines += [f'**{escaped(method)}**, {escaped(given)}', '']
        names = list(dict.fromkeys(name for run in group for name in run.metrics))
        head = ['backbone', *(name.removeprefix('coco/') for name in names), *COSTS]
        lines += [line(head), line(['---'] + ['---:'] * (len(head) - 1))]
        for run in group:
            costs = [(run.costs[name], form) for name, form in COSTS.items()]
            costs = ('-' if value is None else format(value, form) for value, form in costs)
            metrics = (f'{run.metrics[n]:.3g}' if n in run.metrics else '-' for n in names)
            lines.append(line([run.backbone, *metrics, *costs]))
        lines.append('')
    return '\n'.join(lines)


def line(cells):
    """A row of a table in Markdown."""
    return f'| {" | ".join(map(escaped, cells))} |'


def escaped(text):
    """A text in which nothing is Markdown."""
    return re.sub(r'([\\|<`*\[])', r'\\\1', text)


@matplotlib.rc_context({'text.parse_math': False})
def draw(runs):
    """A row of plots for each method and budget, a column for each cost."""
    methods = by_method(runs)
    names = sorted({run.backbone for run in runs})
    colours = {name: colour(index) for index, name in enumerate(names)}
    size = 4 * len(COSTS), 3.2 * len(methods) + 0.6
    figure, axes = plt.subplots(
        len(methods), len(COSTS), figsize=size, squeeze=False, layout='constrained', sharey='row'
    )
    for row, ((method, given, metric), group) in zip(axes, methods.items(), strict=True):
        row[0].set_ylabel(f'{method}\n{metric}')
        row[0].set_title(given, loc='left', fontsize='medium')
        for axis, cost in zip(row, COSTS, strict=True):
            dots(axis, group, cost, colours)
    marks = [Line2D([], [], ls='', marker='o', color=colours[name]) for name in names]
    figure.legend(marks, names, loc='outside lower center', ncols=4)
    return figure


def dots(axis, runs, cost, colours):
    """The metric of each run over one of its costs."""
    for run in runs:
        if run.costs[cost] is not None and run.metrics:
            axis.plot(run.costs[cost], run.metrics[plotted(run)], 'o', color=colours[run.backbone])
    axis.set(xlabel=cost, xmargin=0.15, ymargin=0.15)
    axis.grid(alpha=0.3)


def command_line():
    """The parser of the arguments."""
    parser = make_parser(__doc__, 'example: python tools/results.py work_dirs')
    parser.add_argument('work_dirs', nargs='+', metavar='WORK_DIR', help='or folders of work dirs')
    parser.add_argument('--out-dir', type=Path, default='outputs/results', help='[outputs/results]')
    return parser


def read_runs(work_dirs):
    """The trainings of some work dirs; those that cannot be read are passed over."""
    runs = []
    for path in runs_in(work_dirs):
        try:
            runs.append(read_run(path))
        except (ValueError, OSError) as error:
            note(f'passed over: {error}')
            failure = printable(error)
    if not runs:
        raise UsageError(failure)
    return runs


def collect(args):
    """Read, tell and draw."""
    matplotlib.use('Agg')
    check_folder(args.out_dir, '--out-dir')
    runs = read_runs(args.work_dirs)
    print(text := page(runs))
    (args.out_dir / 'results.md').write_text(text)
    draw(runs).savefig(args.out_dir / 'results.png', dpi=100)
    print(f'written: {args.out_dir}/results.md, {args.out_dir}/results.png')


def main():
    """Run the command line."""
    prepare_process()
    run_tool(command_line, collect)


if __name__ == '__main__':
    main()
