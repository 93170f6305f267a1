"""Collect trainings from their work dirs: a page of tables, and plots of a metric against costs.

Of each training: the metrics of its last evaluation; the time of a step where it was fastest, which
other work on the machine disturbs least; parameters and FLOPs of its model at the size that its
test pipeline scales images to. It writes results.md and results.png.
"""

from pathlib import Path
from typing import NamedTuple

import matplotlib
import matplotlib.pyplot as plt
from analyze_logs import LOGS, METRICS, colour, read_scalars, runs_in
from lib.arguments import check_folder, make_parser, progress
from lib.flops import build, count, parameters, passing
from lib.plain_config import plain_config
from lib.run_config import innermost
from matplotlib.lines import Line2D
from mmengine.registry import count_registered_modules
from mmengine.utils import import_modules_from_strings

from mmbackbones.weights.errors import brief

PLOTTED = ('coco/bbox_mAP', 'mIoU')  # against the costs; the one of them that a method has
SCOPES = ('', 'mmbackbones', 'mmcv', 'mmdet', 'mmengine', 'mmpretrain', 'mmseg')
NMS = {'nms', 'soft_nms', 'nms_match'}  # of mmcv, which evaluates these types as code
COSTS = {'s / step': '.2f', 'parameters, M': '.1f', 'FLOPs, G': '.1f'}


class Run(NamedTuple):
    """A training: what it was, what it cost, what came out of it."""

    method: str
    backbone: str
    budget: str
    costs: dict
    metrics: dict


def logged(work_dir):
    """What a training logged of its steps, and its last metrics; a `ValueError` if too young."""
    if work_dir.is_file():
        raise ValueError(f'{work_dir} is a file; give the work dir that it lies in')
    training, evaluation = read_scalars(work_dir)
    last = evaluation[max(evaluation)] if evaluation else {}
    metrics = {name: last[name] for name in METRICS if name in last}
    if not training or not metrics:
        raise ValueError(f'{work_dir} has no step or no metric yet; wait for it, or leave it out')
    return training, metrics


def config_of(work_dir):
    """The config that a training left beside its logs; see `read_dumped`."""
    # A test leaves a config as well, but no losses.
    log = max(log for log in work_dir.glob(LOGS) if '"loss"' in log.read_text())
    return read_dumped(log.with_name('config.py'))


def read_run(training, metrics, cfg):
    """A training by what it logged and by its config."""
    loader = cfg.train_dataloader
    data = innermost(loader.dataset).data_root.rstrip('/')
    shape, costs = costs_of(cfg)
    costs['s / step'] = min(row['time'] for row in training.values())
    return Run(
        method=cfg.model.get('decode_head', cfg.model).type,
        backbone=name_of(cfg.model.backbone),
        budget=f'{max(training)} steps of {loader.batch_size} images per process from {data}; '
        f'FLOPs at {shape}',
        costs=costs,
        metrics=metrics,
    )


def read_dumped(path):
    """A config that mmengine wrote beside its logs, as data: nothing of it runs.

    Raises:
        ValueError: It is no list of plain values, or of a model that mm does not know.
    """
    try:
        cfg = plain_config(path.read_text())
    except (OSError, ValueError) as error:
        raise ValueError(
            f'{path} is not as mmengine writes configs beside its logs ({brief(error)}); leave '
            f'this work dir out'
        ) from error
    if cfg.get('default_scope') not in ('mmdet', 'mmseg'):
        raise ValueError(f'{path} has no default_scope of mmdet or mmseg; leave this work dir out')
    import_modules_from_strings([f'{cfg.default_scope}.models'])
    check_types(cfg.model, registered(), path)
    return cfg


def registered():
    """The types that a model may have: all classes that are registered by now, and `NMS`."""
    kinds = count_registered_modules(verbose=False)['registries'].values()
    places = [place for kind in kinds for registry in kind for place in registry.values()]
    return {name for place in places if isinstance(place, list) for name in place} | NMS


def check_types(part, known, path):
    """A `ValueError` if a part of a model has a type that is no registered class.

    mmengine takes the name of any function of any package for one.
    """
    if isinstance(part, dict):
        scope, _, name = str(part.get('type', '')).rpartition('.')
        if name and not (name in known and scope in SCOPES):
            raise ValueError(
                f'{path} has a type {part["type"]}, but no such class is registered; leave this '
                f'work dir out'
            )
    for each in part.values() if isinstance(part, dict) else part:
        if isinstance(each, dict | list | tuple):
            check_types(each, known, path)


def costs_of(cfg):
    """What its model costs, and the shape of the image that its FLOPs are for."""
    steps = innermost(cfg.test_dataloader.dataset).pipeline
    width, height = next(step.scale for step in steps if step.type == 'Resize')
    model = build(cfg)
    flops = count(passing(model, cfg.default_scope, (height, width)))['Global']
    numbers = {'parameters, M': parameters(model) / 1e6, 'FLOPs, G': flops / 1e9}
    return f'{height} x {width}', numbers


def name_of(backbone):
    """'SwinTransformer tiny', 'ResNet 50'."""
    size = backbone.get('arch', backbone.get('depth', ''))
    return f'{backbone.type.split(".")[-1]} {"" if isinstance(size, dict) else size}'.strip()


def by_method(runs):
    """{(method, budget): its runs, the best first}: only equal budgets are compared."""
    methods = {key: [] for key in dict.fromkeys((run.method, run.budget) for run in runs)}
    for run in sorted(runs, key=lambda run: -run.metrics[plotted(run)]):
        methods[run.method, run.budget].append(run)
    return methods


def plotted(run):
    """The metric that a run is judged by."""
    return next(name for name in (*PLOTTED, *run.metrics) if name in run.metrics)


def page(runs):
    """A table for each method and budget, in Markdown."""
    lines = []
    for (method, budget), its in by_method(runs).items():
        lines += [f'**{method}**, {budget}', '']
        names = list(dict.fromkeys(name for run in its for name in run.metrics))
        head = ['backbone', *(name.removeprefix('coco/') for name in names), *COSTS]
        lines += [line(head), line(['---'] + ['---:'] * (len(head) - 1))]
        for run in its:
            costs = (format(run.costs[name], form) for name, form in COSTS.items())
            metrics = (f'{run.metrics[n]:.3g}' if n in run.metrics else '-' for n in names)
            lines.append(line([run.backbone, *metrics, *costs]))
        lines.append('')
    return '\n'.join(lines)


def line(cells):
    """A row of a table in Markdown."""
    return f'| {" | ".join(cells)} |'


def draw(runs):
    """A row of plots for each method and budget, a column for each cost."""
    methods = by_method(runs)
    names = sorted({run.backbone for run in runs})
    colours = {name: colour(index) for index, name in enumerate(names)}
    size = 4 * len(COSTS), 3.2 * len(methods) + 0.6
    figure, axes = plt.subplots(
        len(methods), len(COSTS), figsize=size, squeeze=False, layout='constrained', sharey='row'
    )
    for row, ((method, budget), its) in zip(axes, methods.items(), strict=True):
        row[0].set_ylabel(f'{method}\n{plotted(its[0])}')
        row[0].set_title(budget, loc='left', fontsize='medium')
        for axis, cost in zip(row, COSTS, strict=True):
            dots(axis, its, cost, colours)
    marks = [Line2D([], [], ls='', marker='o', color=colours[name], label=name) for name in names]
    figure.legend(handles=marks, loc='outside lower center', ncols=4)
    return figure


def dots(axis, runs, cost, colours):
    """The metric of each run over one of its costs."""
    for run in runs:
        axis.plot(run.costs[cost], run.metrics[plotted(run)], 'o', color=colours[run.backbone])
    axis.set(xlabel=cost, xmargin=0.15, ymargin=0.15)
    axis.grid(alpha=0.3)


def main():
    """Read, tell and draw."""
    example = 'example, after `bash tools/demo.sh`: python tools/results.py work_dirs'
    parser = make_parser(__doc__, example)
    text = 'work dirs, or folders of them'
    parser.add_argument('folders', nargs='+', metavar='WORK_DIR', help=text)
    parser.add_argument('--out-dir', type=Path, default='outputs/results', help='[outputs/results]')
    args = parser.parse_args()
    matplotlib.use('Agg')
    check_folder(args.out_dir, '--out-dir', parser)
    try:
        found = [(*logged(path), config_of(path)) for path in runs_in(args.folders)]
    except (ValueError, OSError) as error:
        parser.error(str(error))
    runs = [read_run(*each) for each in progress(found, 'trainings')]
    print(text := page(runs))
    (args.out_dir / 'results.md').write_text(text)
    draw(runs).savefig(args.out_dir / 'results.png', dpi=100)
    print(f'written: {args.out_dir}/results.md, {args.out_dir}/results.png')


if __name__ == '__main__':
    main()
