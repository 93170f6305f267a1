"""Evaluate a checkpoint with the metric of its config: COCO AP, or mIoU on ADE20K.

A file of tools/export.py is evaluated in the same way, beside a checkpoint if there is one.
"""

import sys
from pathlib import Path

from lib import drawing
from lib.arguments import check_folder
from lib.datasets import as_list, inner_datasets
from lib.exported import is_exported, open_exported
from lib.memory import keep_pages
from lib.predictions import class_map, write_map
from lib.process import meet_on_cpus, prepare_process
from lib.run_config import (
    check_checkpoint,
    check_config,
    check_data,
    check_work_dir,
    common_parser,
    draw_demo_set,
    load_config,
    published,
    run,
)
from lib.usage import UsageError, run_tool
from mmengine.config import ConfigDict
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from rich.console import Console
from rich.table import Table

PUBLISHED = 'published'  # instead of a checkpoint


def command_line():
    """The parser of the arguments."""
    example = 'python tools/test.py CONFIG work_dirs/NAME/epoch_12.pth --show-dir pictures'
    parser = common_parser(__doc__, example)
    text = 'a path or URL, `published` for those of its makers, or a file .onnx or .xml'
    parser.add_argument('checkpoint', help=text)
    text = 'with a file .onnx or .xml: a checkpoint, or another file, to test as well'
    parser.add_argument('beside', nargs='?', metavar='CHECKPOINT', help=text)
    parser.add_argument('--out', help='keep predictions: a .pkl, or maps in a folder')
    parser.add_argument('--show', action='store_true', help='show predictions in a window')
    parser.add_argument('--show-dir', help='draw ground truth and predictions into this folder')
    parser.add_argument(
        '--score-thr', type=float, default=0.3, help='draw detections above this score [0.3]'
    )
    parser.add_argument('--wait-time', type=float, default=2, help='seconds per window [2]')
    text = 'in mixed precision: float16 on a GPU, bfloat16 on a CPU'
    parser.add_argument('--amp', action='store_true', help=text)
    parser.add_argument('--tta', action='store_true', help='average over flips and scales')
    return parser


def check_arguments(args):
    """Raise a `UsageError` if arguments do not go together."""
    if is_exported(args.checkpoint):
        open_exported(args.checkpoint)
        if args.amp or args.tta or args.launcher != 'none':
            raise UsageError(
                f'--amp, --tta and --launcher are for checkpoints; {args.checkpoint} is as it is, '
                f'and its engine takes all cores'
            )
    elif args.beside:
        raise UsageError(
            f'{args.beside} comes after a file .onnx or .xml; test checkpoints one by one'
        )


def configure(args):
    """The config to test with, of which everything was looked at that can be before a test."""
    cfg = load_config(args)
    if not cfg.get('test_dataloader'):
        raise UsageError(f'{args.config} has no test_dataloader, so there is nothing to test on')
    check_config(cfg)
    meet_on_cpus(args.launcher)
    draw_demo_set(args, cfg)
    cfg.update(resume=False, load_from=None)
    if not is_exported(args.checkpoint):
        by_makers = args.checkpoint == PUBLISHED
        source = published(args.config) if by_makers else args.checkpoint
        cfg.load_from = check_checkpoint(source)
    if args.tta:
        use_tta(cfg)
    if args.amp:
        cfg.test_cfg = dict(cfg.get('test_cfg') or {}, fp16=True)  # whatever the precision
    keep_predictions(cfg, args)
    check_data(cfg, ['test_dataloader'])
    check_work_dir(cfg)
    if is_exported(args.checkpoint):
        cfg.model = dict(type='ExportedModel', file=args.checkpoint)
    return cfg


@HOOKS.register_module(force=True)
class PredictionsHook(Hook):
    """Draws ground truth beside predictions, as the pipeline loads images, and keeps maps.

    mm's own hooks read all images with 8 bits and 3 channels, and write by name without folder.
    """

    def __init__(self, show, show_dir, maps_dir, score_thr, wait_time):
        self.draws, self.options = show or show_dir, dict(show=show, wait_time=wait_time)
        self.show_dir, self.maps_dir, self.score_thr = show_dir, maps_dir, score_thr

    def before_test(self, runner):
        """Know the pipeline, and the names of all images."""
        dataset = runner.test_dataloader.dataset
        folders = self.show_dir or '', self.maps_dir or ''
        self.pictures, self.maps = (drawing.Names.of_dataset(each, dataset) for each in folders)
        if self.draws:
            self.painter = drawing.Painter(runner.cfg, dataset, self.score_thr)
            self.steps = drawing.steps_of(dataset)

    def after_test_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        """Draw and keep the predictions for a batch of images."""
        for sample in outputs:
            path = drawing.image_path(sample)
            if self.maps_dir:
                self.keep_map(sample, self.maps.name(path, as_png=True))
            if self.draws:
                with drawing.passing_over(path):
                    self.draw(sample, path)

    def draw(self, sample, path):
        """Draw one sample; maps as PNG, which keeps the colours of classes."""
        name = self.pictures.name(path, as_png='pred_sem_seg' in sample)
        file = str(name) if self.show_dir else None
        image = drawing.read_image(self.steps, path)[0]['img']
        self.painter.draw(image, sample, name.name, out_file=file, **self.options)

    def keep_map(self, sample, path):
        """Write the classes of a sample as the files of its dataset number them."""
        numbers = class_map(sample.cpu())
        if numbers is None:
            sys.exit(f'--out {self.maps_dir}: the model predicts no maps; take a file .pkl')
        if sample.get('reduce_zero_label'):
            numbers = numbers + 1
        write_map(numbers, path)


def use_tta(cfg):
    """Wrap the model in the config's test-time augmentation."""
    if not cfg.get('tta_model') or not cfg.get('tta_pipeline'):
        raise UsageError(
            '--tta: the config lacks tta_model or tta_pipeline; there is none for masks, because '
            'mmdet merges boxes alone'
        )
    cfg.model = ConfigDict(**cfg.tta_model, module=cfg.model)
    for dataset in inner_datasets(cfg.test_dataloader.dataset):
        dataset.pipeline = cfg.tta_pipeline


def keep_predictions(cfg, args):
    """Let an evaluator pickle predictions, and a hook draw them and keep maps."""
    maps = None
    if args.out:
        check_folder(Path(args.out).parent, '--out')
    if args.out and args.out.endswith(('.pkl', '.pickle')):
        of_mmdet = 'mmdet' in (cfg.get('default_scope') or str(cfg.model.type))
        kind = 'mmdet.DumpDetResults' if of_mmdet else 'mmengine.DumpResults'  # compresses masks
        cfg.test_evaluator = [*as_list(cfg.test_evaluator), dict(type=kind, out_file_path=args.out)]
    else:
        maps = args.out
    if args.show or args.show_dir:
        cfg.get('default_hooks', {}).pop('visualization', None)
    if args.show or args.show_dir or maps:
        options = dict(show_dir=args.show_dir, wait_time=args.wait_time, score_thr=args.score_thr)
        hook = dict(type='PredictionsHook', show=args.show, maps_dir=maps, **options)
        cfg.custom_hooks.append(hook)


def check_classes(runner):
    """End with one sentence if an exported file has other classes than the dataset."""
    about = getattr(runner.model, 'file', None)
    known = runner.test_dataloader.dataset.metainfo.get('classes')
    if about and known and about.classes and len(known) != len(about.classes):
        sys.exit(
            f'the exported file has {len(about.classes)} classes and the dataset of the config '
            f'{len(known)}; take the config that it was written from'
        )


def show_beside(scores):
    """A table of the metrics of two models, and what the first has more."""
    table = Table(box=None, pad_edge=False)
    for column in ('', *scores, 'difference'):
        table.add_column(column, justify='right' if column else 'left', overflow='fold')
    first, second = scores.values()
    for name, value in first.items():
        other = second.get(name, float('nan'))
        table.add_row(name, *(f'{each:.4f}' for each in (value, other, value - other)))
    Console(width=100).print(table)


def test(args):
    """Test a checkpoint or an exported file, or both."""
    keep_pages()
    check_arguments(args)
    names = [args.checkpoint, args.beside]
    configs = [configure(args)]
    if args.beside:  # whose pictures and predictions would take the place of the file's
        vars(args).update(checkpoint=args.beside, out=None, show=False, show_dir=None)
        configs.append(configure(args))
        configs[1].experiment_name = f'{Path(args.config).stem}_checkpoint'
    scores = [run(cfg, 'test', check_classes) for cfg in configs]
    if args.beside:
        show_beside(dict(zip(names, scores, strict=True)))


def main():
    """Run the command line."""
    prepare_process()
    run_tool(command_line, test)


if __name__ == '__main__':
    main()
