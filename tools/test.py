"""Evaluate a checkpoint with the metric of its config: COCO AP, or mIoU on ADE20K."""

from pathlib import Path

from lib.datasets import as_list
from lib.memory import keep_pages
from lib.run_config import (
    check_checkpoint,
    check_data,
    check_work_dir,
    common_parser,
    load_config,
    published,
    run,
)
from mmengine.config import ConfigDict

PUBLISHED = 'published'  # instead of a checkpoint


def parse():
    """The arguments, and the parser for errors about them."""
    example = 'python tools/test.py CONFIG work_dirs/NAME/epoch_12.pth --show-dir pictures'
    parser = common_parser(__doc__, example)
    parser.add_argument('checkpoint', help='a path or URL, or `published` for those of its makers')
    parser.add_argument('--out', help='keep predictions: a .pkl for detection, else a folder')
    parser.add_argument('--show', action='store_true', help='show predictions in a window')
    parser.add_argument('--show-dir', help='draw ground truth and predictions into this folder')
    parser.add_argument(
        '--score-thr', type=float, default=0.3, help='draw detections above this score [0.3]'
    )
    parser.add_argument('--wait-time', type=float, default=2, help='seconds per window [2]')
    text = 'in mixed precision: float16 on a GPU, bfloat16 on a CPU'
    parser.add_argument('--amp', action='store_true', help=text)
    parser.add_argument('--tta', action='store_true', help='average over flips and scales')
    return parser.parse_args(), parser


def configure(args, parser):
    """The config to test with."""
    cfg = load_config(args, parser)
    by_makers = args.checkpoint == PUBLISHED
    source = published(args.config, parser) if by_makers else args.checkpoint
    cfg.update(resume=False, load_from=check_checkpoint(source, parser))
    if args.show or args.show_dir:
        draw(cfg, args)
    if args.tta:
        use_tta(cfg, parser)
    if args.amp:
        cfg.test_cfg.fp16 = True  # mmengine's name for it, whatever the precision
    if args.out:
        keep_predictions(cfg, args.out, parser)
    check_data(cfg, ['test_dataloader'], parser)
    check_work_dir(cfg, parser)
    return cfg


def draw(cfg, args):
    """Turn drawing on in the hook that every shipped config has."""
    hook = cfg.default_hooks.visualization
    hook.update(draw=True, interval=1, show=args.show, wait_time=args.wait_time)
    if cfg.default_scope == 'mmdet':
        hook.score_thr = args.score_thr
    if args.show_dir and cfg.default_scope == 'mmdet':
        hook.test_out_dir = str(Path(args.show_dir).resolve())
    elif args.show_dir:
        cfg.visualizer.save_dir = args.show_dir


def use_tta(cfg, parser):
    """Wrap the model in the config's test-time augmentation."""
    if 'tta_model' not in cfg:
        parser.error('this config has no tta_model: mmdet merges boxes alone, not masks')
    cfg.model = ConfigDict(**cfg.tta_model, module=cfg.model)
    cfg.test_dataloader.dataset.pipeline = cfg.tta_pipeline


def keep_predictions(cfg, out, parser):
    """Let an evaluator write predictions as mmdet (one pickle) or mmseg (a folder of PNGs) does."""
    if cfg.default_scope == 'mmseg':
        cfg.test_evaluator.update(output_dir=out, keep_results=True)
    elif out.endswith(('.pkl', '.pickle')):
        dump = dict(type='DumpDetResults', out_file_path=out)
        cfg.test_evaluator = [*as_list(cfg.test_evaluator), dump]
    else:
        parser.error(f'--out {out}: detections go into a file that ends in .pkl')


def main():
    """Test."""
    keep_pages()
    run(configure(*parse()), 'test')


if __name__ == '__main__':
    main()
