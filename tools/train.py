"""Train a detector or segmenter, on COCO and ADE20K or, with --demo, on the demo set."""

import torch
from mmengine.registry import RUNNERS
from mmengine.runner import Runner
from run_config import check_checkpoint, check_data, common_parser, load_config


def parse():
    """The arguments, and the parser for errors about them."""
    parser = common_parser(__doc__, 'python tools/train.py configs/mask_rcnn_swin_t.py --demo')
    parser.add_argument('--amp', action='store_true', help='train in mixed precision')
    parser.add_argument(
        '--auto-scale-lr', action='store_true', help='fit the learning rate to the total batch size'
    )
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='CHECKPOINT',
        help='go on from this checkpoint, or from the last one of the work dir',
    )
    return parser.parse_args(), parser


def configure(args, parser):
    """The config to train with."""
    cfg = load_config(args, parser)
    if args.amp and not torch.accelerator.is_available():
        parser.error('--amp needs a GPU, and none was found; train without it')
    if args.amp:
        cfg.optim_wrapper.update(type='AmpOptimWrapper', loss_scale='dynamic')
    if args.auto_scale_lr and 'base_batch_size' not in cfg.get('auto_scale_lr', {}):
        parser.error(f'{args.config} has no auto_scale_lr.base_batch_size to scale from')
    if args.auto_scale_lr:
        cfg.auto_scale_lr.enable = True
    if args.resume:
        cfg.resume = True
        cfg.load_from = None if args.resume == 'auto' else check_checkpoint(args.resume, parser)
    check_data(cfg, ('train_dataloader', 'val_dataloader'), parser)
    return cfg


def main():
    """Train."""
    cfg = configure(*parse())
    runner = RUNNERS.build(cfg) if 'runner_type' in cfg else Runner.from_cfg(cfg)
    runner.train()


if __name__ == '__main__':
    main()
