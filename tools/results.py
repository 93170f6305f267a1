"""Collect trainings from their work dirs: a page of tables, and plots of a metric against costs.

Of each training: the metrics of its last evaluation; the time of a step where it was fastest, which
other work on the machine disturbs least; parameters and FLOPs of its model at the size that its
test pipeline scales images to. It writes results.md and results.png.
"""

import argparse
from pathlib import Path
from typing import NamedTuple

import matplotlib
import matplotlib.pyplot as plt
import torch
from analyze_logs import METRICS, read_scalars
from arguments import check_folder
from get_flops import build, count, parameters, sample
from matplotlib.lines import Line2D
from mmengine.config import Config
from rich.progress import track

PLOTTED = ('coco/bbox_mAP', 'mIoU')  # against the costs; the one of them that a method has
COSTS = {'s / step': '.2f', 'parameters, M': '.1f', 'FLOPs, G': '.1f'}


class Run(NamedTuple):
    """A training: what it was, what it cost, what came out of it."""

    method: str
    backbone: str
    budget: str
    costs: dict
    metrics: dict


def work_dirs(paths, parser):
    """Those of the folders, and of the folders in them, that trainings logged into."""
    found = []
    for path in paths:
        inner = [path, *sorted(path.iterdir())] if path.is_dir() else []
        logged = [each for each in inner if list(each.glob('*/vis_data/scalars.json'))]
        if not logged:
            parser.error(f'no training logged into {path}; give what --work-dir was, or its parent')
        found += logged
    return found


def read_run(work_dir):
    """A training by its logs, and the config beside them; a `ValueError` if it is too young."""
    training, evaluation = read_scalars(work_dir)
    if not training or not evaluation:
        raise ValueError(
            f'{work_dir} has no step or no evaluation yet; wait for it, or leave it out'
        )
    cfg = Config.fromfile(max(work_dir.glob('*/vis_data/config.py')))
    last = evaluation[max(evaluation)]
    images, data = cfg.train_dataloader.batch_size, cfg.train_dataloader.dataset.data_root
    shape, costs = costs_of(cfg)
    costs['s / step'] = min(row['time'] for row in training.values())
    return Run(
        method=cfg.model.get('decode_head', cfg.model).type,
        backbone=name_of(cfg.model.backbone),
        budget=f'{max(training)} steps of {images} images from {data}; FLOPs at {shape}',
        costs=costs,
        metrics={name: last[name] for name in METRICS if name in last},
    )


def costs_of(cfg):
    """What its model costs, and the shape of the image that its FLOPs are for."""
    steps = cfg.test_dataloader.dataset.pipeline
    width, height = next(step.scale for step in steps if step.type == 'Resize')
    model, samples = build(cfg), [sample(cfg.default_scope, (height, width))]
    image = torch.rand(1, 3, height, width)
    flops = count(lambda: model(image, samples, mode='tensor'))['Global']
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
        head = ['backbone', *(name.removeprefix('coco/') for name in its[0].metrics), *COSTS]
        lines += [line(head), line(['---'] + ['---:'] * (len(head) - 1))]
        for run in its:
            costs = (format(run.costs[name], form) for name, form in COSTS.items())
            metrics = (f'{value:.3g}' for value in run.metrics.values())
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
    colours = dict(zip(names, plt.get_cmap('tab10').colors * len(names), strict=False))
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
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog='example, after `bash tools/demo.sh`: python tools/results.py work_dirs',
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    text = 'work dirs, or folders of them'
    parser.add_argument('folders', nargs='+', type=Path, metavar='WORK_DIR', help=text)
    parser.add_argument('--out-dir', type=Path, default='outputs/results', help='[outputs/results]')
    args = parser.parse_args()
    matplotlib.use('Agg')
    check_folder(args.out_dir, '--out-dir', parser)
    try:
        folders = work_dirs(args.folders, parser)
        runs = [read_run(folder) for folder in track(folders, 'trainings')]
    except (ValueError, OSError) as error:
        parser.error(str(error))
    print(text := page(runs))
    (args.out_dir / 'results.md').write_text(text)
    draw(runs).savefig(args.out_dir / 'results.png', dpi=100)
    print(f'written: {args.out_dir}/results.md, {args.out_dir}/results.png')


if __name__ == '__main__':
    main()
